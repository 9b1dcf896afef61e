"""Experiments that decided something in the package, and can be run again."""
