"""Benchmarks of speed and memory, one program per question."""

NAMES = ("tower", "end_to_end", "decode", "text", "folder", "server", "engines", "formats", "maps")
