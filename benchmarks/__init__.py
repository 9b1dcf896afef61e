"""Side-by-side measurements; ratios of one run, with the machine they were taken on."""
