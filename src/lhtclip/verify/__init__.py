"""Known answers of public checkpoints: proof that anyone with the weights can run."""
