"""From patch embeddings and prompts to labels, or to the probabilities behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.decoding.aliases import groups_of, together
from lhtclip.decoding.decode import decode
from lhtclip.decoding.probabilities import class_probabilities
from lhtclip.decoding.ptc import calibrated
from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError
from lhtclip.image.windows import WindowPlan
from lhtclip.segmentation import Segmentation, label_dtype
from lhtclip.segmenter.memory import check_logits
from lhtclip.segmenter.mirroring import mirrored, whole_patches
from lhtclip.segmenter.parts import SegmenterParts
from lhtclip.segmenter.prior import image_feature, with_prior
from lhtclip.segmenter.second_pass import encode_again
from lhtclip.segmenter.windows import PlannedImage, in_rows, joined, resized_levels, windows_of
from lhtclip.text.vocabulary import Vocabulary


@torch.inference_mode()
def label(
    parts: SegmenterParts, encoded: EncodedImage, vocabulary: Vocabulary, threshold: float
) -> Segmentation:
    """Give every pixel a class; below the threshold, in [0, 1], it becomes background.

    Raises:
        InputError: The image was encoded by a model with embeddings of another length, or there
            are too many prompts for the memory.
    """
    decoding = replace(parts.decoding, threshold=threshold)
    planned = [PlannedImage(encoded.image, each.plan) for each in encoded.scales]
    check_logits(planned, parts.checkpoint.model.config.vision, prompts=len(vocabulary.queries))
    scored = _scored(parts, encoded, vocabulary)
    device, refined = scored.texts.device, decoding.pamr or decoding.tlp
    labels, scores = decode(
        *scored.scales[0],
        encoded.image.shape[:2],
        scored.class_of_query,
        len(vocabulary.names),
        decoding,
        image=resized_levels(encoded, device) if refined else None,
        texts=scored.texts,
        others=scored.scales[1:],
        fused=parts.runner.engine == "compile" and device.type == "cuda",
    )
    return Segmentation(
        labels=labels.astype(label_dtype(len(vocabulary.names))),
        scores=scores,
        names=vocabulary.names,
        image=encoded.image,
        background=vocabulary.background,
    )


@torch.no_grad()
def probabilities(
    parts: SegmenterParts,
    encoded: EncodedImage,
    vocabulary: Vocabulary,
    size: tuple[int, int],
    *,
    rows: slice,
    columns: slice,
) -> Tensor:
    """Return (classes, rows, columns) float32; arguments as for `Segmenter.probabilities`."""
    factor = parts.decoding.logit_scale
    scored = _scored(parts, encoded, vocabulary)
    scales = [(cosines * factor, plan) for cosines, plan in scored.scales]
    return class_probabilities(
        *scales[0],
        size,
        scored.class_of_query,
        len(vocabulary.names),
        rows=rows,
        columns=columns,
        others=scales[1:],
    )


@dataclass(frozen=True, slots=True)
class _Scored:
    """Patches compared with prompts, or with classes as wholes if their aliases count together.

    Attributes:
        scales: Of each scale of the image the cosines (window rows, columns, grid rows, columns, Q)
            and the plan of its windows.
        texts: The embeddings behind them (Q, E), of unit length.
        class_of_query: The class of each.
    """

    scales: list[tuple[Tensor, WindowPlan]]
    texts: Tensor
    class_of_query: tuple[int, ...]


def _scored(parts: SegmenterParts, encoded: EncodedImage, vocabulary: Vocabulary) -> _Scored:
    texts, decoding = _texts(parts, encoded, vocabulary), parts.decoding
    scales = _cosines(parts, encoded, texts)
    if decoding.aliases is None:
        return _Scored(scales, texts, vocabulary.class_of_query)
    groups, owners = groups_of(vocabulary.class_of_query, vocabulary.background)
    mean_patch = F.normalize(encoded.embeddings.flatten(0, 3).mean(dim=0), dim=0)
    count = partial(
        together,
        groups=groups,
        of_the_image=texts @ mean_patch.to(texts.device),
        scale=decoding.logit_scale,
        settings=decoding.aliases,
    )
    means = torch.stack([texts[group].mean(dim=0) for group in groups])
    return _Scored(
        [(count(cosines), plan) for cosines, plan in scales], F.normalize(means, dim=-1), owners
    )


def _texts(parts: SegmenterParts, encoded: EncodedImage, vocabulary: Vocabulary) -> Tensor:
    """Embed the prompts: (prompts, E)."""
    parts.enter_process()
    texts = parts.texts.encode(vocabulary.queries)
    if encoded.embeddings.shape[-1] != texts.shape[-1]:
        raise InputError(
            f"This image was encoded by another model: its embeddings have length "
            f"{encoded.embeddings.shape[-1]}, those of the prompts {texts.shape[-1]}."
        )
    return texts


def _cosines(
    parts: SegmenterParts, encoded: EncodedImage, texts: Tensor
) -> list[tuple[Tensor, WindowPlan]]:
    """Compare patches with prompts, at every scale.

    Returns:
        For each scale the cosines (window rows, columns, grid rows, columns, prompts) and the plan
        of its windows.
    """
    embeddings = [_embeddings(parts, each, texts) for each in encoded.scales]
    compared = texts
    if parts.decoding.ptc is not None:
        patches = torch.cat([each.flatten(0, 3) for each in embeddings])
        compared = calibrated(texts, patches, parts.decoding.ptc)
    scales = [
        (each @ compared.T, scale.plan)
        for each, scale in zip(embeddings, encoded.scales, strict=True)
    ]
    weight = parts.decoding.prior
    if not weight:
        return scales
    prior = texts @ image_feature(parts, encoded)
    return [(with_prior(cosines, prior, weight), plan) for cosines, plan in scales]


def _embeddings(parts: SegmenterParts, encoded: EncodedImage, texts: Tensor) -> Tensor:
    """Return the embeddings to compare with texts: those of a second pass, if there is one."""
    embeddings = encoded.embeddings.to(texts.device)
    if parts.encoder.method.second_pass is None:
        return embeddings
    windows = windows_of(encoded, parts.checkpoint, most=parts.windows_at_once)
    first = embeddings.flatten(0, 1).split(parts.windows_at_once)
    again = (_again(parts, *both, texts) for both in zip(windows, first, strict=True))
    return in_rows(joined(again, encoded.plan.count), encoded.plan)


def _again(parts: SegmenterParts, pixels: Tensor, seen: Tensor, texts: Tensor) -> Tensor:
    """Encode windows a second time, also mirrored if the settings ask for it."""
    if not parts.windows.flip:
        return encode_again(parts.encoder, pixels, seen, texts)
    whole = whole_patches(pixels, parts.checkpoint.model.config.vision.patch_size)
    plain = encode_again(parts.encoder, whole, seen, texts)
    flipped = encode_again(parts.encoder, mirrored(whole, -1), mirrored(seen, -2), texts)
    return (plain + mirrored(flipped, -2)) / 2
