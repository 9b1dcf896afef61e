"""Find the techniques' settings for a checkpoint, with labels or without."""
