"""Logits of windows to labels at full resolution."""
