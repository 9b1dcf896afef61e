"""Side-by-side measurements; ratios of one run, with the machine they were taken on."""

NAMES = (
    "tower",
    "lht",
    "end_to_end",
    "decode",
    "text",
    "words",
    "folder",
    "startup",
    "scaling",
    "precision",
    "engines",
)
