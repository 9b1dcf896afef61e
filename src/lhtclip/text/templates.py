"""Prompt templates: the sentences that a class name is put into before it is encoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, cast

from lhtclip.errors import InputError, UnknownNameError, check_kind, unknown


def _imagenet80() -> tuple[str, ...]:
    """The 80 sentences published with CLIP (arXiv 2103.00020, section 3.1.4)."""
    file = resources.files("lhtclip") / "data" / "templates_imagenet80.txt"
    return tuple(file.read_text(encoding="utf-8").splitlines())


TEMPLATE_SETS: dict[str, tuple[str, ...]] = {
    "imagenet80": _imagenet80(),
    "photo": ("a photo of a {}.",),
    "plain": ("{}",),
}


def resolve_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """Return the sentences of a named set, or your own sentences after a check.

    Args:
        templates: A name in `TEMPLATE_SETS`, one sentence with '{}' where the name goes, or a list
            of such sentences.

    Raises:
        UnknownNameError: A string that is neither a set's name nor a sentence with '{}'.
        InputError: No sentence, or one without exactly one '{}'.
    """
    if isinstance(templates, str):
        if templates in TEMPLATE_SETS:
            return TEMPLATE_SETS[templates]
        if "{}" not in templates:
            raise UnknownNameError(
                f"{unknown('template set', templates, TEMPLATE_SETS)} A sentence of your own has "
                "'{}' where the class name goes, such as 'a photo of a {}.'."
            )
        templates = (templates,)
    check_kind("templates", templates, str, Iterable)
    own = cast("tuple[Any, ...]", tuple(templates))
    if not own:
        raise InputError(
            f"No template was given: name a set ({', '.join(TEMPLATE_SETS)}) or give a list such "
            "as ['a photo of a {}.']."
        )
    for template in own:
        if not isinstance(template, str) or template.count("{}") != 1:
            raise InputError(
                f"The template {template!r} must be text with exactly one '{{}}' where the class "
                "name goes, such as 'a photo of a {}.'."
            )
    return own


def template_name(templates: tuple[str, ...]) -> str | tuple[str, ...]:
    """Return the name of the set that these sentences are, or the sentences themselves."""
    named = (name for name, sentences in TEMPLATE_SETS.items() if sentences == templates)
    return next(named, templates)


def fill(template: str, query: str) -> str:
    """Put a prompt into a template; other braces in either stay as they are."""
    return template.replace("{}", query)
