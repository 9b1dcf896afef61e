"""The encoder as a graph that other engines run, in one file."""
