"""How well labels agree with the truth: counts, the measures read off them, and the scenes."""
