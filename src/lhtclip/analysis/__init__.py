"""The measurements behind the paper's findings: layers, heads and tokens."""
