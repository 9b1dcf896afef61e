"""Side-by-side measurements of speed and memory: one program for each question still open."""

NAMES = ("tower", "end_to_end", "decode", "text", "folder", "server", "engines", "formats")
