"""Captions of scenes: names, synonyms, background words, several phrasings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lhtclip.text.templates import resolve_templates
from training.words import MATERIALS, THINGS

SYNONYM_SHARE = 0.2
TEMPLATE_SHARE = 0.5
WORDS = tuple(word.name for word in (*THINGS, *MATERIALS))
PHRASES = 16  # ways to say a word
_TEMPLATES = resolve_templates("imagenet80")
_PLACES = (" on {}", " in front of {}", " with {} behind", ", {}", " and {}")
_FRAMES = ("{}", "a picture of {}", "a scene with {}", "there is {}", "here you see {}", "look, {}")


def caption(
    generator: np.random.Generator,
    material: int,
    things: Sequence[int],
    *,
    grounds: float = 0.5,
) -> tuple[str, frozenset[str]]:
    """Write one caption.

    Args:
        generator: Source of all randomness.
        material: The background.
        things: The things in front of it.
        grounds: Share of captions that mention the material in addition to things; a scene without
            things always mentions it.

    Returns:
        The caption, and the plain names of everything it mentions: captions in a batch that mention
        the same things count as equal.
    """
    shown = [THINGS[thing] for thing in things]
    order = generator.permutation(len(shown))
    nouns = [_word(generator, shown[i].name, shown[i].synonyms) for i in order]
    mentioned = {thing.name for thing in shown}
    ground = ""
    if not nouns or generator.random() < grounds:
        behind = MATERIALS[material]
        ground = _word(generator, behind.name, behind.synonyms)
        mentioned.add(behind.name)
    if generator.random() < TEMPLATE_SHARE:
        frame = _TEMPLATES[int(generator.integers(len(_TEMPLATES)))]
        text = frame.format(_place(generator, _join(nouns), ground))
    else:
        frame = _FRAMES[int(generator.integers(len(_FRAMES)))]
        with_articles = [_article(noun) for noun in nouns]
        text = frame.format(_place(generator, _join(with_articles), ground))
    return text, frozenset(mentioned)


def phrases(generator: np.random.Generator) -> list[list[str]]:
    """Say every word in `PHRASES` ways: (words, PHRASES), the first its plain name."""
    said: list[list[str]] = []
    for word in (*THINGS, *MATERIALS):
        frames = generator.choice(_TEMPLATES, size=PHRASES - 1, replace=False).tolist()
        framed = [frame.format(_word(generator, word.name, word.synonyms)) for frame in frames]
        said.append([word.name, *framed])
    return said


def _word(generator: np.random.Generator, name: str, synonyms: tuple[str, ...]) -> str:
    if synonyms and generator.random() < SYNONYM_SHARE:
        return synonyms[int(generator.integers(len(synonyms)))]
    return name


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _join(nouns: list[str]) -> str:
    if len(nouns) < 2:
        return "".join(nouns)
    return f"{', '.join(nouns[:-1])} and {nouns[-1]}"


def _place(generator: np.random.Generator, things: str, ground: str) -> str:
    if not ground or not things:
        return things or ground
    return things + _PLACES[int(generator.integers(len(_PLACES)))].format(ground)
