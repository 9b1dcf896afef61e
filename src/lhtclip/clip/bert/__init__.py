"""CLIPs whose text tower is a BERT (arXiv 1810.04805): Chinese-CLIP and BiomedCLIP."""
