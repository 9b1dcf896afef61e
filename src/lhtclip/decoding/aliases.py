"""Aliases: all prompts of a class count together, each as far as the image as a whole shows it.

From VIP (arXiv 2605.12325), as in its released code. A class has prompts a; at a patch they have
the cosines s_a, and with the mean patch of the image the cosines g_a. The score of the class is

    log Σ_a exp(τ κ s_a w_a / mean w) / (τ κ),  w = softmax(g / temperature),

with the factor κ that multiplies cosines before the softmax over classes. For one prompt that is
its cosine. A class with many prompts alike gains log(their number) / (τ κ), so give all about as
many. VIP computes w in each window; here it is that of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.errors import InputError, is_number


@dataclass(frozen=True, slots=True)
class AliasSettings:
    """How the prompts of a class count together, as published by default.

    Attributes:
        tau: τ, above 0. The larger, the more the best prompt alone decides.
        temperature: Above 0. The smaller, the more the prompts that suit the whole image count.
    """

    tau: float = 4.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Validate the settings."""
        for name in ("tau", "temperature"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise InputError(f"{name} of aliases must be above 0, not {value!r}.")


def together(
    cosines: Tensor,
    groups: Sequence[Sequence[int]],
    of_the_image: Tensor,
    *,
    scale: float,
    settings: AliasSettings,
) -> Tensor:
    """Return the scores of groups of prompts (..., groups).

    Args:
        cosines: s of patches and prompts, (..., prompts).
        groups: The prompts that count together; a prompt alone keeps its cosines.
        of_the_image: g, the cosines of the image's mean patch and the prompts, (prompts,).
        scale: κ.
        settings: τ and the temperature.
    """
    factor = settings.tau * scale
    columns: list[Tensor] = []
    for group in groups:
        if len(group) == 1:
            columns.append(cosines[..., group[0]])
            continue
        chosen = torch.tensor(group, device=cosines.device)
        weights = (of_the_image[chosen] / settings.temperature).softmax(dim=0)
        scaled = cosines[..., chosen] * (weights / weights.mean())
        columns.append((factor * scaled).logsumexp(dim=-1) / factor)
    return torch.stack(columns, dim=-1)


def groups_of(
    class_of_query: Sequence[int], background: int | None
) -> tuple[list[list[int]], tuple[int, ...]]:
    """Group prompts by class; each prompt of the background stays alone, since its best one counts.

    Returns:
        The prompts of each group, and the class of each.
    """
    groups: list[list[int]] = []
    owners: list[int] = []
    for query, owner in enumerate(class_of_query):
        if owners and owners[-1] == owner != background:
            groups[-1].append(query)
        else:
            groups.append([query])
            owners.append(owner)
    return groups, tuple(owners)
