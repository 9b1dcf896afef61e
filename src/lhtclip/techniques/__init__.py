"""The three techniques of LHT-CLIP (arXiv 2510.23894), one idea a file, and their presets."""
