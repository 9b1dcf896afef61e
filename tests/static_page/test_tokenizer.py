"""The browser's tokenizer gives the ids of Hugging Face's, on any text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as HuggingFace

from lhtclip.checkpoints.hub import BUNDLED_FOLDER
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.errors import InputError
from lhtclip.static_page.tokenizer_parts import tokenizer_parts
from tests.conftest import END, START, build_siglip_tokenizer, build_tokenizer
from tests.static_page.conftest import RunJs

_RUN = """
import { Tokenizer } from "./local/tokenizer.js";
const tokenizer = new Tokenizer(data.parts, data.context);
console.log(JSON.stringify(data.sentences.map((each) => tokenizer.encode(each))));
"""
_LETTERS = [
    *"abcdefghijklmnopqrstuvwxyzABCÄÖ0123456789 '.,-!?#İΣßé狗🐶ﬁ½٣ǅ",
    *("  ", "\t", "\u00a0", "\u3000", "\u0085", "\ufeff", "\n", "\x00", "e\u0301", "👩\u200d🚒"),
    *("'s", "'LL", "photo ", "cat", "<end>", START, END),
]


def _sentences() -> list[str]:
    draw = random.Random(0)
    made = ["".join(draw.choices(_LETTERS, k=draw.randint(0, 25))) for _ in range(600)]
    return ["", " ", "a photo of a cat.", "it's  a dog's", *made]


def _save(tokenizer: HuggingFace, path: Path) -> Path:
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("kind", ["bundled", "clip", "end first"])
def test_the_ids_are_those_of_hugging_face(kind: str, run_js: RunJs, tmp_path: Path) -> None:
    path = BUNDLED_FOLDER / "tokenizer.json"
    if kind != "bundled":
        path = _save(build_tokenizer(end_first=kind == "end first"), tmp_path / "tokenizer.json")
    tokenizer = Tokenizer(path, context_length=20)
    sentences = _sentences()
    data = {"parts": tokenizer_parts(tokenizer), "context": 20, "sentences": sentences}
    found, wanted = run_js(_RUN, data), tokenizer.encode(sentences)
    unequal = [each for each in zip(sentences, found, wanted, strict=True) if each[1] != each[2]]
    assert not unequal[:3]


def _of(change: Any, tmp_path: Path) -> Tokenizer:
    content = json.loads(build_tokenizer(end_first=False).to_str())
    change(content)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content))
    return Tokenizer(path, context_length=20)


def test_what_the_browser_does_not_know_is_refused(tmp_path: Path) -> None:
    unigram = _save(build_siglip_tokenizer(), tmp_path / "siglip.json")
    with pytest.raises(InputError, match="'Unigram'"):
        tokenizer_parts(Tokenizer(unigram, context_length=20))
    with pytest.raises(InputError, match="normalizer 'StripAccents'"):
        tokenizer_parts(
            _of(lambda content: content.update(normalizer={"type": "StripAccents"}), tmp_path)
        )
    whitespace = {"type": "Whitespace"}
    with pytest.raises(InputError, match="pre-tokenizer 'Whitespace'"):
        tokenizer_parts(_of(lambda content: content.update(pre_tokenizer=whitespace), tmp_path))
