"""A Hugging Face tokenizer in the parts that the browser's tokenizer knows, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.errors import InputError

Json = Mapping[str, Any]


def tokenizer_parts(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what `local/tokenizer.js` reads.

    Raises:
        InputError: A part works in a way that the browser's tokenizer does not know.
    """
    content = tokenizer.to_json()
    model = content["model"]
    unusual = ("dropout", "continuing_subword_prefix", "fuse_unk", "byte_fallback", "ignore_merges")
    found = [name for name in unusual if model.get(name)]
    if model["type"] != "BPE" or found:
        raise _unknown("model", " with ".join([model["type"], *found[:1]]))
    before, after = _around(content["post_processor"])
    return {
        "normalizers": [_normalizer(each) for each in _sequence(content, "normalizer")],
        "splitters": [_splitter(each) for each in _sequence(content, "pre_tokenizer")],
        "vocabulary": model["vocab"],
        "merges": [_pair(merge) for merge in model["merges"]],
        "suffix": model.get("end_of_word_suffix") or "",
        "unknown": model["vocab"].get(model.get("unk_token")),
        "added": [_added(each) for each in content["added_tokens"]],
        "before": before,
        "after": after,
    }


def _sequence(content: Json, key: str) -> list[Json]:
    part = content[key]
    if part is None:
        return []
    if part["type"] == "Sequence":
        return cast("list[Json]", part[f"{key}s" if f"{key}s" in part else "pretokenizers"])
    return [part]


def _normalizer(part: Json) -> dict[str, Any]:
    kind = part["type"]
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return {"kind": kind}
    if kind == "Lowercase":
        return {"kind": "lowercase"}
    if kind == "Replace":
        return {
            "kind": "replace",
            "pattern": _pattern(part["pattern"]),
            "content": part["content"],
        }
    raise _unknown("normalizer", kind)


def _splitter(part: Json) -> dict[str, Any]:
    kind = part["type"]
    if kind == "ByteLevel":
        return {"kind": "bytes", "prefix": part["add_prefix_space"], "regex": part["use_regex"]}
    behavior = str(part.get("behavior", "")).lower()
    if kind == "Split" and behavior in ("removed", "isolated"):
        pattern = _pattern(part["pattern"])
        return {
            "kind": "split",
            "pattern": pattern,
            "behavior": behavior,
            "invert": part["invert"],
        }
    raise _unknown("pre-tokenizer", f"{kind} {behavior}".strip())


def _pattern(pattern: Json) -> dict[str, str]:
    if "Regex" in pattern:
        return {"regex": pattern["Regex"]}
    return {"text": pattern["String"]}


def _pair(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def _added(token: Json) -> dict[str, Any]:
    if token["single_word"] or token["lstrip"] or token["rstrip"]:
        raise _unknown("token that takes spaces with it", token["content"])
    return {name: token[name] for name in ("id", "content", "normalized")}


def _around(part: Json | None) -> tuple[list[int], list[int]]:
    """Return the ids before and after a prompt."""
    if part is None:
        raise _unknown("post-processor", "none")
    if part["type"] == "RobertaProcessing":
        return [part["cls"][1]], [part["sep"][1]]
    if part["type"] != "TemplateProcessing":
        raise _unknown("post-processor", part["type"])
    sides: tuple[list[int], list[int]] = ([], [])
    seen = 0
    for piece in part["single"]:
        if "Sequence" in piece:
            seen = 1
        else:
            sides[seen].extend(part["special_tokens"][piece["SpecialToken"]["id"]]["ids"])
    return sides


def _unknown(what: str, found: str) -> InputError:
    return InputError(
        f"The page's own tokenizer knows no {what} {found!r}: it supports the tokenizers of CLIP, "
        "and this model has a different one."
    )
