"""The three techniques of LHT-CLIP (arXiv 2510.23894), one file each, and their presets."""
