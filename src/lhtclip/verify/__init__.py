"""Verify public checkpoints against published answers."""
