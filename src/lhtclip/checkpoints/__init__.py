"""Read, fetch and save checkpoints in every layout that is known."""
