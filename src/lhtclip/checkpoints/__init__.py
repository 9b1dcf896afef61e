"""Read, download and save checkpoints in every known layout."""
