"""The tables of LHT-CLIP (arXiv 2510.23894), and the code that measures them."""
