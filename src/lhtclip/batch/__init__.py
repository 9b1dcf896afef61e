"""Labels many images, resumably: plan, run, record."""
