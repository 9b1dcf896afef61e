"""The frozen CLIP: image tower, text tower, tokenizer and checkpoints; it knows no segmentation."""
