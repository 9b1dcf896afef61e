"""The tables and curves of LHT-CLIP (arXiv 2510.23894), and what measures them again."""
