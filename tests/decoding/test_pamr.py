"""PAMR against its literal version, and what its formula implies."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.decoding.pamr import PamrSettings, affinity, refine
from lhtclip.errors import InputError
from tests.literal import pamr as literal

NEAR = PamrSettings(iterations=3, dilations=(1, 2))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def refined(planes: Tensor, image: Tensor, settings: PamrSettings = NEAR) -> Tensor:
    return refine(planes, affinity(image, settings.dilations), settings)


# Against loops


@pytest.mark.parametrize("dilations", [(1,), (1, 3), (2, 8, 20)])  # 20 is beyond every edge
@pytest.mark.parametrize("channels", [1, 3])
def test_affinity_is_its_formula(dilations: tuple[int, ...], channels: int) -> None:
    image = noise(channels, 8, 11)
    expected = literal.affinity(image.double().numpy(), dilations)
    torch.testing.assert_close(
        affinity(image, dilations), torch.from_numpy(expected).float(), rtol=2e-4, atol=1e-6
    )


@pytest.mark.parametrize("settings", [PamrSettings(), NEAR, PamrSettings(1, (3,))], ids=str)
def test_refining_is_its_formula(settings: PamrSettings) -> None:
    image, planes = noise(3, 20, 18), noise(2, 20, 18, seed=1)
    expected = literal.refine(
        planes.double().numpy(), image.double().numpy(), settings.iterations, settings.dilations
    )
    torch.testing.assert_close(
        refined(planes, image, settings), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5
    )


# What the formula implies


def test_weights_are_shares() -> None:
    weights = affinity(noise(3, 13, 17), (1, 4))
    assert weights.shape == (16, 13, 17)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(13, 17))


def test_constant_planes_stay() -> None:
    planes = torch.tensor([0.3, -2.0])[:, None, None].expand(2, 13, 17)
    torch.testing.assert_close(refined(planes, noise(3, 13, 17)), planes)


def test_without_edges_every_neighbour_counts_alike() -> None:
    planes = noise(2, 13, 17)
    once = refined(planes, torch.full((3, 13, 17), 0.7), PamrSettings(1, (2,)))
    around = F.unfold(F.pad(planes[:, None], (2,) * 4, mode="replicate"), 3, dilation=2)
    expected = around.unflatten(1, (1, 9))[:, 0, [0, 1, 2, 3, 5, 6, 7, 8]].mean(dim=1)
    torch.testing.assert_close(once, expected.reshape(2, 13, 17))


def test_nothing_flows_over_an_edge() -> None:
    image, planes = torch.zeros(3, 16, 16), torch.zeros(1, 16, 16)
    image[..., 8:] = planes[..., 8:] = 1
    noisy = planes + 0.3 * (noise(1, 16, 16) - 0.5)
    after = refined(noisy, image, PamrSettings(10, (1, 2)))
    assert (after - planes).abs().max() < 0.1
    blurred = refined(noisy, torch.zeros(3, 16, 16), PamrSettings(10, (1, 2)))
    assert (blurred - planes).abs().max() > 0.4


def test_refining_is_linear() -> None:
    image, one, other = noise(3, 9, 9), noise(2, 9, 9, seed=1), noise(2, 9, 9, seed=2)
    torch.testing.assert_close(
        refined(40 * one - other, image), 40 * refined(one, image) - refined(other, image)
    )


def test_gain_and_offset_of_a_channel_cancel() -> None:
    image = noise(3, 9, 9)
    gain, offset = torch.tensor([[3.7, 0.2, 255.0], [-2.0, 0.5, 9.0]])[:, :, None, None]
    torch.testing.assert_close(
        affinity(image * gain + offset, (1, 2)), affinity(image, (1, 2)), rtol=1e-3, atol=1e-5
    )


def test_mirrored_is_refined_mirrored() -> None:
    image, planes = noise(3, 9, 14), noise(2, 9, 14, seed=1)
    torch.testing.assert_close(
        refined(planes.flip(-1), image.flip(-1)).flip(-1), refined(planes, image)
    )


def test_several_images_at_once() -> None:
    images, planes = noise(4, 3, 9, 14), noise(4, 2, 9, 14, seed=1)
    together = refined(planes, images)
    for image, own, result in zip(images, planes, together, strict=True):
        torch.testing.assert_close(result, refined(own, image))


def test_reach_is_how_far_pixels_see() -> None:
    assert PamrSettings().reach == 160
    assert NEAR.reach == 6
    planes, image = noise(1, 1, 20).double(), noise(3, 1, 20).double()
    before = refined(planes, image)
    changed_planes, changed_image = planes.clone(), image.clone()
    changed_planes[..., 0] += 1
    changed_image[..., 0] = 1 - changed_image[..., 0]
    for after in (refined(changed_planes, image), refined(planes, changed_image)):
        differs = (after != before)[0, 0]
        assert differs[1:7].all()
        assert not differs[7:].any()


def test_input_is_left_alone() -> None:
    image, planes = noise(3, 9, 9), noise(2, 9, 9, seed=1)
    copies = image.clone(), planes.clone()
    refined(planes, image)
    assert torch.equal(image, copies[0])
    assert torch.equal(planes, copies[1])


@pytest.mark.parametrize(
    ("iterations", "dilations", "message"),
    [(0, (8,), "at least 1 iteration, not 0"), (1, (), "dilations"), (1, (8, 0), r"not \(8, 0\)")],
)
def test_what_would_refine_nothing_is_refused(
    iterations: int, dilations: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        PamrSettings(iterations, dilations)
