"""Training of the small test model: a CLIP learned from scenes of open emoji artwork."""
