"""Files that others made, read within limits."""
