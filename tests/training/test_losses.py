import math

import pytest
import torch
import torch.nn.functional as F

from training.losses import FOUND_SHARE, caption_loss, patch_loss, word_loss


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(0)), dim=-1)


MENTIONED = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0]], dtype=torch.bool)
ALLOWED = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 0, 1, 1]], dtype=torch.bool)
SCALE = torch.tensor(7.0)


def test_the_loss_of_distinct_captions_is_the_cross_entropy() -> None:
    images, texts = unit(5, 8), unit(9, 8)
    expected = F.cross_entropy(7.0 * images @ texts.T, torch.arange(5))
    equal = torch.eye(5, 9, dtype=torch.bool)
    torch.testing.assert_close(caption_loss(images, texts, SCALE, equal), expected)


def test_equal_captions_share_the_truth() -> None:
    images = texts = torch.eye(2)
    same = torch.ones(2, 2, dtype=torch.bool)
    apart = caption_loss(images, texts, SCALE, torch.eye(2, dtype=torch.bool))
    swapped = caption_loss(images, texts.flip(0), SCALE, torch.eye(2, dtype=torch.bool))
    together = caption_loss(images, texts, SCALE, same)
    torch.testing.assert_close(together, (apart + swapped) / 2)


def test_words_on_which_a_caption_is_silent_do_not_compete() -> None:
    images, words = unit(2, 8), unit(5, 8)
    expected = 0.0
    for image, mentioned, allowed in zip(images, MENTIONED, ALLOWED, strict=True):
        competing = [i for i in range(5) if mentioned[i] or not allowed[i]]
        total = math.log(sum(math.exp(7 * float(image @ words[i])) for i in competing))
        right = [i for i in range(5) if mentioned[i]]
        expected += sum(total - 7 * float(image @ words[i]) for i in right) / len(right) / 2
    assert float(word_loss(images, words, SCALE, MENTIONED, ALLOWED)) == pytest.approx(expected)


def test_patches_share_out_the_words_of_a_caption() -> None:
    patches, words = unit(2, 20, 8), unit(5, 8)
    best_of = round(FOUND_SHARE * 20)
    expected = 0.0
    for image, mentioned, allowed in zip(patches, MENTIONED, ALLOWED, strict=True):
        likely = (7 * image @ words.T).softmax(dim=-1)
        expected -= float(likely[:, allowed].sum(dim=1).log().mean()) / 2
        for word in mentioned.nonzero().flatten().tolist():
            best = likely[:, word].sort(descending=True).values[:best_of]
            expected -= float(best.mean().log()) / int(mentioned.sum()) / 2
    found = patch_loss(patches, words, SCALE, MENTIONED, ALLOWED)
    assert float(found) == pytest.approx(expected, rel=1e-5)
