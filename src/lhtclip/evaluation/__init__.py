"""How well labels agree with the ground truth: protocols, runs, counts and reports."""
