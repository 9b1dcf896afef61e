"""Measurements of `lhtclip analyze` as rows of files and as tables to print."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lhtclip.analysis.compare import best_first
from lhtclip.analysis.pairs import Estimate
from lhtclip.analysis.published import (
    HEADS,
    Curve,
    CurveAgreement,
    HeadsAgreement,
    compare_curve,
)
from lhtclip.analysis.survey import Survey
from lhtclip.analysis.tokens import LayerTokens, TokenStatistics
from lhtclip.files.json_files import json_types
from lhtclip.techniques.she import Head

Row = dict[str, Any]
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # header and rows

PLAIN, WITH_SSR = "CLIP", "CLIP + SSR"
_PREFIXES = {PLAIN: "", WITH_SSR: "ssr_"}
_SHOWN_HEADS = 20
_SHOWN_CHANNELS = 3
_QUANTILES = {"hoyer_q01": 0.01, "hoyer_q25": 0.25, "hoyer_median": 0.5, "hoyer_q99": 0.99}


def layer_rows(surveys: Mapping[str, Survey]) -> list[Row]:
    """Return a row for each layer; names of measurements with SSR begin with "ssr_"."""
    rows = [Row(layer=layer) for layer in sorted(surveys[PLAIN].layers)]
    for name, survey in surveys.items():
        for row in rows:
            layer, prefix = row["layer"], _PREFIXES[name]
            row |= {prefix + key: value for key, value in _estimate(survey.layers[layer]).items()}
            row[f"{prefix}alignment"] = survey.alignment.get(layer)
    return rows


def layer_table(rows: Sequence[Row]) -> Table:
    """Return the table of the layers."""
    header = ("layer", "discriminability", "95 %", "alignment")
    with_ssr = "ssr_discriminability" in rows[0]
    if with_ssr:
        header += ("with SSR", "95 %", "alignment")
    return header, [
        (
            str(row["layer"]),
            *_layer_cells(row, ""),
            *(_layer_cells(row, "ssr_") if with_ssr else ()),
        )
        for row in rows
    ]


def curve_agreements(
    curves: Sequence[Curve], surveys: Mapping[str, Survey]
) -> list[CurveAgreement]:
    """Compare the published curves with the measured ones; with SSR only if it was measured."""
    found: list[CurveAgreement] = []
    for curve in curves:
        survey = surveys.get(WITH_SSR if curve.ssr else PLAIN)
        if survey is None:
            continue
        aucs = {layer: estimate.auc for layer, estimate in survey.layers.items()}
        measured = aucs if curve.measure == "discriminability" else survey.alignment
        found.append(compare_curve(curve, measured))
    return found


def curve_table(agreements: Sequence[CurveAgreement]) -> Table:
    """Return the table that compares layers with the paper."""
    header = ("against the paper", "data", "layers", "Spearman", "shift", "off by, at most")
    return header, [
        (
            each.curve.measure + (" with SSR" if each.curve.ssr else ""),
            each.curve.data,
            f"{min(each.curve.by_layer)}-{max(each.curve.by_layer)}",
            _number(each.spearman),
            _number(each.difference, sign="+"),
            _number(each.spread),
        )
        for each in agreements
    ]


def head_rows(heads: Mapping[Head, Estimate], *, last: int) -> list[Row]:
    """Return a row for each head, best first; SHE cannot use those of the last layer."""
    order = best_first({head: estimate.auc for head, estimate in heads.items()})
    return [
        Row(layer=head[0], head=head[1], **_estimate(heads[head]), candidate=head[0] < last)
        for head in order
    ]


def head_table(rows: Sequence[Row]) -> Table:
    """Return the table of the first candidate heads."""
    candidates = [row for row in rows if row["candidate"]][:_SHOWN_HEADS]
    return ("place", "head", "discriminability", "95 %"), [
        (
            str(place),
            f"{row['layer']}-{row['head']}",
            _number(row["discriminability"]),
            _interval(row),
        )
        for place, row in enumerate(candidates, start=1)
    ]


def heads_comparison(agreement: HeadsAgreement) -> tuple[Table, Row]:
    """Return the table that compares heads with the paper, and its content for the JSON file."""
    name = "{}-{}".format
    rows = [
        (f"Spearman over the {len(HEADS)} published heads", _number(agreement.spearman)),
        ("of the first 10, the same", f"{round(10 * agreement.overlap)}"),
        ("first here", name(*agreement.first)),
    ]
    rows += [
        (f"published {place}: {name(*head)}, AUC {HEADS[head]:.3f}", f"place {found} here")
        for place, (head, found) in enumerate(agreement.places.items(), start=1)
    ]
    kept = Row(
        spearman=agreement.spearman,
        overlap=agreement.overlap,
        first=list(agreement.first),
        places=[[*head, place] for head, place in agreement.places.items()],
    )
    return (("against the paper", ""), rows), kept


def token_rows(statistics: TokenStatistics) -> list[Row]:
    """Return a row for each layer with its numbers, without maps and histograms."""
    rows: list[Row] = []
    for place, layer in enumerate(statistics.layers):
        row = Row(layer=layer.layer, hoyer_mean=layer.mean)
        row |= {name: layer.quantile(share) for name, share in _QUANTILES.items()}
        row |= {"hoyer_highest": layer.highest, "abnormal_share": layer.share}
        for name, kind in (("abnormal", layer.abnormal), ("normal", layer.normal)):
            row[f"{name}_tokens"] = kind.count
            row[f"{name}_norm"] = kind.norm
            row[f"{name}_attention"] = kind.attention
            row[f"{name}_cosine_within_image"] = kind.within
            row[f"{name}_cosine_across_images"] = kind.across
        before = statistics.similarity[place][place - 1] if place else math.nan
        row["abnormal_cosine_with_layer_before"] = before
        row["abnormal_surrounded"] = layer.surrounded
        row["abnormal_channels"] = _channels(layer)
        rows.append(row)
    return rows


def token_table(rows: Sequence[Row]) -> Table:
    """Return the table of the tokens."""
    header = (
        *("layer", "Hoyer median", "99 %", "highest", "abnormal", "length", "attention"),
        *("cosine in image", "across", "channels"),
    )
    return header, [
        (
            str(row["layer"]),
            _number(row["hoyer_median"]),
            _number(row["hoyer_q99"]),
            _number(row["hoyer_highest"]),
            f"{row['abnormal_share']:.2%}",
            _against(row, "norm", ".1f"),
            _against(row, "attention", ".2f"),
            _against(row, "cosine_within_image", ".2f"),
            _against(row, "cosine_across_images", ".2f"),
            row["abnormal_channels"] or "-",
        )
        for row in rows
    ]


def csv_text(rows: Sequence[Row]) -> str:
    """Write a header and rows; missing values and NaN are empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(json_types(row) for row in rows)
    return buffer.getvalue()


def _layer_cells(row: Row, prefix: str) -> tuple[str, str, str]:
    return (
        _number(row[f"{prefix}discriminability"]),
        _interval(row, prefix),
        _number(row[f"{prefix}alignment"]),
    )


def _against(row: Row, name: str, form: str) -> str:
    """Show a number of the abnormal tokens next to that of the normal ones."""
    pair = (row[f"abnormal_{name}"], row[f"normal_{name}"])
    return " / ".join("-" if math.isnan(value) else format(value, form) for value in pair)


def _channels(layer: LayerTokens) -> str:
    """Name the channels where most abnormal tokens are largest, such as "138 (97 %)"."""
    largest = sorted(layer.channels, key=lambda channel: -channel.share)[:_SHOWN_CHANNELS]
    return ", ".join(f"{each.index} ({each.share:.0%})" for each in largest if each.share)


def _estimate(estimate: Estimate) -> Row:
    return Row(discriminability=estimate.auc, low=estimate.low, high=estimate.high)


def _interval(row: Row, prefix: str = "") -> str:
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return "-" if math.isnan(low) else f"{low:.3f}-{high:.3f}"


def _number(value: float | None, *, sign: str = "") -> str:
    return "-" if value is None or math.isnan(value) else format(value, f"{sign}.3f")
