"""The class prior: what the whole image shows makes classes more, or less, likely everywhere.

Part of CASS (arXiv 2411.17150) and RF-CLIP (arXiv 2511.16170), which add the cosines of the image's
class token with weights of 0.1 to 0.4. On aerial images SegEarth-OV (arXiv 2410.01768) subtracts
them, with a weight of -0.3. So the weight is signed and soft: no class is ever ruled out.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lhtclip.image.windows import plan_windows
from lhtclip.segmenter.memory import check_encoding
from lhtclip.segmenter.parts import SegmenterParts
from lhtclip.segmenter.windows import HasWindows, PlannedImage


def image_feature(parts: SegmenterParts, planned: HasWindows) -> Tensor:
    """Encode the whole image, resized as for its windows, with the model's ordinary image tower.

    Returns:
        The image's feature, (E,) float32, of unit length.

    Raises:
        InputError: The image is too large to be encoded in one pass.
    """
    plan, checkpoint = planned.plan, parts.checkpoint
    config = checkpoint.model.config
    whole = plan_windows(plan.height, plan.width, window=None, stride=1)
    check_encoding(
        [PlannedImage(planned.image, whole)], config.vision, width=config.projection_dim, at_once=1
    )
    pixels = checkpoint.to_pixels(planned.image, (plan.height, plan.width), resize=plan.resize)
    return F.normalize(checkpoint.model.vision(pixels[None])[0].float(), dim=0)


def with_prior(cosines: Tensor, of_the_image: Tensor, weight: float) -> Tensor:
    """Return (1 - w) s + w p.

    Args:
        cosines: s of patches and prompts, (..., prompts).
        of_the_image: p, the cosines of the image's feature and the prompts, (prompts,).
        weight: w.
    """
    return (1 - weight) * cosines + weight * of_the_image.to(cosines)
