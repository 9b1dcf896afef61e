"""One number of a table: what it counts, and where the counts are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lhtclip.config import SegmenterConfig
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import UnknownNameError
from lhtclip.evaluation.measure import measure
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.evaluation.runner import Evaluation, Running, evaluate
from lhtclip.image.windows import WindowSettings
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.ssr import SsrSettings
from tests.evaluation.runs import drawn_dataset, tiny_segmenter

PROTOCOL = replace(
    protocol_for("drawn", "lht"), windows=WindowSettings(short_side=32, window=32, stride=16)
)
SOME = LhtSettings(ssr=SsrSettings((2, 3)), atr=AtrSettings())
TINY = tiny_segmenter()


def tiny(
    place: Path,
    images: int = 2,
    *,
    protocol: Protocol = PROTOCOL,
    method: str = "sclip",
    lht: LhtSettings = SOME,
    keep: bool | None = None,
    **options: Any,
) -> Evaluation:
    dataset = drawn_dataset(place / "in", images=images)
    config = SegmenterConfig(method=method, lht=lht, residual=keep, mlp=keep)
    return measure(
        config, dataset, protocol, checkpoint=TINY.checkpoint, texts=TINY.texts, **options
    )


@pytest.mark.parametrize(("method", "keep"), [("sclip", False), ("clearclip", None)])
def test_the_protocol_decides(tmp_path: Path, method: str, keep: bool | None) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=2)
    encoder = DenseEncoder(TINY.checkpoint.model, method=method, lht=SOME, residual=keep, mlp=keep)
    segmenter = Segmenter(
        TINY.checkpoint,
        encoder,
        TINY.texts,
        windows=PROTOCOL.windows,
        decoding=PROTOCOL.decoding,
    )
    expected = evaluate(segmenter, dataset, PROTOCOL.vocabulary(dataset))
    found = tiny(tmp_path, method=method, keep=keep)
    np.testing.assert_array_equal(found.confusion.matrix, expected.confusion.matrix)
    assert found.trimap is None


def test_a_method_has_the_settings_of_the_data_set(tmp_path: Path) -> None:
    protocol = replace(PROTOCOL, methods=protocol_for("voc20", "resclip").methods)
    found = tiny(tmp_path, protocol=protocol, method="resclip", folder=tmp_path / "out")
    assert found.settings["method_settings"]["share"] == 0.6
    with pytest.raises(UnknownNameError, match="sclip"):
        tiny(tmp_path, method="sclipp")


def test_what_was_measured_is_not_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    scores = [tiny(tmp_path, lht=lht, folder=out).confusion.mean_iou for lht in (SOME, OFF)]
    assert len(list(out.iterdir())) == 2

    def refuse(*given: Any, **named: Any) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(DenseEncoder, "__call__", refuse)
    seen: list[Running] = []
    again = [
        tiny(tmp_path, lht=lht, folder=out, progress=seen.append).confusion.mean_iou
        for lht in (SOME, OFF)
    ]
    assert again == scores
    assert [(state.done, state.already) for state in seen] == [(2, 2)] * 2
    wider = replace(PROTOCOL, windows=replace(PROTOCOL.windows, stride=8))
    for other in (
        {"images": 3},
        {"method": "naclip"},
        {"keep": True},
        {"lht": replace(SOME, atr=AtrSettings(0.4))},
        {"protocol": wider},
        {"overwrite": True},
    ):
        with pytest.raises(AssertionError, match="encoded again"):
            tiny(tmp_path, folder=out, **other)
