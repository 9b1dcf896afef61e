"""The public object: image and class names in, `Segmentation` out."""

from lhtclip.segmenter.segmenter import Segmenter

__all__ = ["Segmenter"]
