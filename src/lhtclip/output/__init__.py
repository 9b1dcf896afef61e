"""Results as files: arrays in, bytes out, and back. Nothing here knows of models or results."""
