"""What the paper's findings rest on: measures of layers, heads and tokens."""
