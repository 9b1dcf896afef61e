"""Encoders for the programs that read our results: labels in, JSON types or bytes out, no files."""
