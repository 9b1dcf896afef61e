"""`lhtclip export`: the encoder with its method and techniques, as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.console import print_path, say
from lhtclip.cli.options import model_options, switch
from lhtclip.errors import InputError


@click.command()
@model_options
@switch("int8", "Round weights to 8 bits.  [default: off]", default=False)
@click.option(
    "--out", metavar="FILE", help="File to write.  [default: <model>.<method>.onnx, .int8.onnx]"
)
@click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")
def command(*, int8: bool, out: str | None, quiet: bool, **given: Any) -> None:
    """Write an ONNX graph: windows and texts in, logits of every patch out.

    Inputs are `pixels` (batch, 3, height, width), normalised, in whole patches, and `texts`
    (prompts, E) of unit length. The output `logits` (batch, rows, columns, prompts) holds cosines.
    Batch, height, width and prompts are free. The method and the techniques are part of the graph.
    `segment` and `evaluate` run the file with --engine onnx --graph FILE.

    Compares the graph with torch before writing it. Prints the path of the file.
    """
    path = Path(out) if out else default_path(given["model"], given["method"], int8=int8)
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; name a file in it.")
    check_folder(path.parent)

    from lhtclip.cli.load import config_of
    from lhtclip.engines.export import export_graph
    from lhtclip.segmenter import Segmenter

    segmenter = Segmenter.from_config(config_of(given | {"device": "cpu", "dtype": "float32"}))
    if not quiet:
        say("Tracing the encoder and testing the graph; this takes about a minute.")
    agreement = export_graph(segmenter.encoder, path, pixels=segmenter.checkpoint.pixels, int8=int8)
    if not quiet:
        say(
            f"On noise, its logits differ from torch's by at most {agreement.difference:.1e}, and "
            f"the mean cosine of its embeddings with torch's is {agreement.cosine:.5f}."
        )
    print_path(path)


def default_path(model: str, method: str, *, int8: bool) -> Path:
    """Name the file after its content, such as ViT-B-16.sclip.int8.onnx."""
    return Path(f"{Path(model).name}.{method}{'.int8' if int8 else ''}.onnx")
