"""The shared evaluation protocol once more, slowly: a file, a window, a word, a class at a time.

The numbers are the steps of docs/reference/protocols.md, written as the published evaluations take
them: OpenCV on bytes, padding and counting on whole images, every probability of every word at
full size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import WindowSettings
from lhtclip.text.vocabulary import Vocabulary
from tests.literal import tlp
from tests.literal.pamr import refine

Picture = NDArray[np.uint8]  # blue, green, red
Resize = Callable[[Picture, tuple[int, int]], Picture]  # to height and width
Encode = Callable[[Tensor], Tensor]  # (1, 3, height, width) -> (1, rows, columns, E)

MEAN, SPREAD = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)  # red, green, blue


@dataclass(frozen=True)
class Outcome:
    """What came out of an image, all of (height, width).

    scores: of the winner, before the threshold.
    margin: from the winner to the next class, or to the threshold if that is nearer.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    margin: NDArray[np.float64]


def resize_by_opencv(picture: Picture, size: tuple[int, int]) -> Picture:
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def segment(
    path: Path,
    encode: Encode,
    texts: Tensor,
    vocabulary: Vocabulary,
    *,
    windows: WindowSettings,
    decoding: DecodeSettings,
    resize: Resize = resize_by_opencv,
) -> Outcome:
    picture = cv2.imread(str(path))  # 1
    assert picture is not None
    pixels = normalised(resize(picture, new_size(picture.shape[:2], windows)))
    logits = averaged_logits(pixels, windows, encode, texts)
    logits = enlarged(logits, picture.shape[:2])[0]  # 8
    if decoding.pamr is not None:
        image = enlarged(pixels, picture.shape[:2])[0].numpy()
        how = decoding.pamr
        logits = torch.from_numpy(refine(logits.numpy(), image, how.iterations, how.dilations))
    if decoding.tlp is not None:
        image = enlarged(pixels, picture.shape[:2])[0].double().numpy()
        grid, steps = decoding.tlp.grid, decoding.tlp.iterations
        coarse = tlp.pooled(logits.double().numpy(), grid), tlp.pooled(image, grid)
        solved = tlp.propagate(coarse[0], texts.double().numpy(), coarse[1], iterations=steps)
        logits = enlarged(torch.from_numpy(solved)[None], picture.shape[:2])[0]
    return decided(class_scores(logits, vocabulary, decoding), decoding)


def new_size(shape: tuple[int, ...], windows: WindowSettings) -> tuple[int, int]:  # 2
    height, width = shape
    factor = min(
        windows.long_side / max(height, width), windows.short_sides[0] / min(height, width)
    )
    return int(height * factor + 0.5), int(width * factor + 0.5)


def normalised(picture: Picture) -> Tensor:  # 3
    planes = [
        (torch.from_numpy(picture[:, :, 2 - channel]).double() - MEAN[channel]) / SPREAD[channel]
        for channel in range(3)
    ]
    return torch.stack(planes)[None]


def averaged_logits(
    pixels: Tensor, windows: WindowSettings, encode: Encode, texts: Tensor
) -> Tensor:
    """Logits of every word at the resized size, (1, words, height, width)."""
    height, width = pixels.shape[2:]
    crop, stride = windows.window, windows.stride
    if crop is None:
        return upsampled_logits(pixels, encode, texts)
    total = torch.zeros(1, len(texts), height, width, dtype=torch.float64)
    count = torch.zeros(1, 1, height, width, dtype=torch.float64)
    for i in range(max(height - crop + stride - 1, 0) // stride + 1):  # 4
        for j in range(max(width - crop + stride - 1, 0) // stride + 1):
            bottom, right = min(i * stride + crop, height), min(j * stride + crop, width)
            top, left = max(bottom - crop, 0), max(right - crop, 0)
            logits = upsampled_logits(pixels[:, :, top:bottom, left:right], encode, texts)
            total += F.pad(logits, (left, width - right, top, height - bottom))
            count[:, :, top:bottom, left:right] += 1
    assert (count > 0).all()
    return total / count


def upsampled_logits(pixels: Tensor, encode: Encode, texts: Tensor) -> Tensor:
    features = encode(pixels)[0]  # 5
    rows, columns = features.shape[:2]
    logits = torch.zeros(1, len(texts), rows, columns, dtype=torch.float64)
    for row in range(rows):
        for column in range(columns):
            feature = features[row, column].double()
            logits[0, :, row, column] = texts.double() @ (feature / feature.norm())  # 6
    return enlarged(logits, pixels.shape[2:])  # 7


def enlarged(planes: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(planes, size=size, mode="bilinear", align_corners=False)


def class_scores(logits: Tensor, vocabulary: Vocabulary, decoding: DecodeSettings) -> Tensor:  # 9
    """(classes, height, width): each the best of its words' probabilities."""
    probabilities = torch.softmax(logits * decoding.logit_scale, dim=0)
    words, classes = len(vocabulary.queries), len(vocabulary.names)
    if words == classes:
        return probabilities
    belongs = F.one_hot(torch.tensor(vocabulary.class_of_query), classes).T  # (classes, words)
    return torch.stack(
        [(probabilities * belongs[index].view(words, 1, 1)).amax(dim=0) for index in range(classes)]
    )


def decided(scores: Tensor, decoding: DecodeSettings) -> Outcome:  # 10
    classes = len(scores)
    if decoding.area_threshold > 0:
        won = F.one_hot(scores.argmax(dim=0), classes)[:, :, 1:].sum(dim=(0, 1)).double()
        large = won > decoding.area_threshold * won.sum()
        scores = scores.clone()
        scores[1:] *= large.view(-1, 1, 1)
    labels = scores.argmax(dim=0)
    best = scores.amax(dim=0)
    labels[best < decoding.threshold] = 0
    runner_up = scores.topk(2, dim=0).values[1]
    margin = torch.minimum(best - runner_up, (best - decoding.threshold).abs())
    return Outcome(labels.numpy(), best.numpy(), margin.numpy())


def zero_label_reduced(ids: Picture) -> Picture:
    """The rule of data sets whose label 0 means "none": 1 becomes 0, and 0 does not count."""
    ids = ids.copy()
    ids[ids == 0] = 255
    ids -= 1
    ids[ids == 254] = 255
    return ids


def class_ious(
    truths: Sequence[NDArray[np.uint8]], found: Sequence[NDArray[np.int64]], classes: int
) -> NDArray[np.float64]:  # 11
    """Intersection over union over all images; 255 does not count, nan where there is nothing."""
    intersection, union = np.zeros(classes), np.zeros(classes)
    for truth, labels in zip(truths, found, strict=True):
        assert truth.shape == labels.shape  # the truth keeps its size
        for index in range(classes):
            true, said = (truth == index), (labels == index) & (truth != 255)
            intersection[index] += (true & said).sum()
            union[index] += (true | said).sum()
    with np.errstate(invalid="ignore"):
        return intersection / union


def text_features(
    text_tower: nn.Module,
    tokenizer: Callable[[list[str]], Tensor],
    words: Sequence[str],
    templates: Sequence[str],
) -> Tensor:  # 12
    """(words, E), one prompt after the other."""
    features: list[Tensor] = []
    for word in words:
        total = torch.zeros(())
        for template in templates:
            (feature,) = text_tower(tokenizer([template.replace("{}", word)])).double()
            total = total + feature / feature.norm()
        mean = total / len(templates)
        features.append(mean / mean.norm())
    return torch.stack(features)
