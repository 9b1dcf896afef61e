"""Encode results for other programs: labels to JSON types or bytes, without touching files."""
