"""`lhtclip export`: the encoder with its method and techniques, as an ONNX file or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.console import print_path, say
from lhtclip.cli.options import ENCODER, switch, with_options
from lhtclip.errors import InputError


@click.command()
@with_options(ENCODER)
@switch("int8", "Round weights to 8 bits.  [default: off]", default=False)
@click.option(
    "--out", metavar="FILE", help="File to write.  [default: <model>.<method>.onnx, .int8.onnx]"
)
@click.option(
    "--page",
    metavar="DIR",
    help="Write a page that needs no server instead: a folder for any web host.",
)
@click.option(
    "--runtime",
    metavar="DIR",
    help="For --page: an unpacked npm package onnxruntime-web.  [default: download once]",
)
@click.option(
    "--templates",
    metavar="NAME|TEXT",
    default="imagenet80",
    help="For --page: imagenet80, photo, plain, or a sentence with {}.",
)
@switch("compare", "For --page: add a graph without the techniques.  [default: on]", default=True)
@click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")
def command(**given: Any) -> None:
    """Write an ONNX graph: windows and texts in, logits of every patch out.

    Inputs are `pixels` (batch, 3, height, width), normalised, in whole patches, and `texts`
    (prompts, E) of unit length. The output `logits` (batch, rows, columns, prompts) holds cosines.
    Batch, height, width and prompts are free. The method and the techniques are part of the graph.
    `segment` and `evaluate` run the file with --engine onnx --graph FILE.

    With --page, writes a folder that any web host can hand out: the page of `lhtclip serve`, whose
    visitors run the model in their own browsers. Try it with `python -m http.server -d DIR`.

    Compares the graph with torch before writing it. Prints the path of the file or the folder.
    """
    if given["page"] is None:
        _write_graph(given)
    elif given["out"] is not None:
        raise InputError("Give either --out FILE for a graph or --page DIR for a page, not both.")
    else:
        _write_page(given)


def _write_graph(given: dict[str, Any]) -> None:
    int8, quiet = given["int8"], given["quiet"]
    path = (
        Path(given["out"])
        if given["out"]
        else default_path(given["model"], given["method"], int8=int8)
    )
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; name a file in it.")
    check_folder(path.parent)

    from lhtclip.cli.load import config_of
    from lhtclip.engines.export import export_graph
    from lhtclip.segmenter import Segmenter

    segmenter = Segmenter.from_config(config_of(given | _AS_TRACED))
    if not quiet:
        say("Tracing the encoder and testing the graph; this takes about a minute.")
    agreement = export_graph(segmenter.encoder, path, pixels=segmenter.checkpoint.pixels, int8=int8)
    if not quiet:
        say(
            f"On noise, its logits differ from torch's by at most {agreement.difference:.1e}, and "
            f"the mean cosine of its embeddings with torch's is {agreement.cosine:.5f}."
        )
    print_path(path)


def _write_page(given: dict[str, Any]) -> None:
    from lhtclip.cli.load import config_of, warn_if_bundled
    from lhtclip.segmenter import Segmenter
    from lhtclip.static_page.export import check_page_folder, export_page
    from lhtclip.static_page.runtime import runtime_files

    folder, runtime = Path(given["page"]), given["runtime"] and Path(given["runtime"])
    check_page_folder(folder)
    runtime_files(runtime)  # what is missing is said before the model is loaded
    config = config_of(given | _AS_TRACED)
    if not given["quiet"]:
        warn_if_bundled(config.model)
    export_page(
        Segmenter.from_config(config),
        folder,
        runtime=runtime,
        int8=given["int8"],
        compare=given["compare"],
        say=(lambda text: None) if given["quiet"] else say,
    )
    if not given["quiet"]:
        say(f"Try it: python -m http.server -d {folder}")
    print_path(folder)


_AS_TRACED = {"device": "cpu", "dtype": "float32"}


def default_path(model: str, method: str, *, int8: bool) -> Path:
    """Name the file after its content, such as ViT-B-16.sclip.int8.onnx."""
    return Path(f"{Path(model).name}.{method}{'.int8' if int8 else ''}.onnx")
