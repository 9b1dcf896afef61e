"""The frozen CLIP: image encoder, text encoder, tokenizer. It does not know segmentation."""
