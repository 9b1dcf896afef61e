"""Write the page without a server: scripts, runtime, graphs, tokenizer, examples."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lhtclip import __version__
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.engines.export import check_exportable, export_graph
from lhtclip.engines.text_graph import export_text_tower
from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.files import unwritable
from lhtclip.image.settings import PLAIN
from lhtclip.output.palette import class_colours
from lhtclip.segmenter import Segmenter
from lhtclip.static_page.runtime import runtime_files
from lhtclip.static_page.tokenizer_parts import tokenizer_parts
from lhtclip.techniques.settings import OFF
from lhtclip.text.background import STUFF, WORDS

FORMAT = 1
_MOST_PIXELS = 50_000_000
_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'"
)
_NOT_OF_THE_PAGE = ("docs.html", "docs.js", "docs.css", "index.html", "api.js")


def export_page(
    segmenter: Segmenter,
    folder: Path,
    *,
    runtime: Path | None = None,
    int8: bool = False,
    compare: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write a folder that any web server can hand out; the browser then does all the work.

    Args:
        segmenter: The model with its method, techniques and templates; in float32, on the CPU.
        folder: Where to; it must not exist, or be empty.
        runtime: An unpacked npm package onnxruntime-web; None downloads it once into the cache.
        int8: Round the weights of both towers to 8 bits.
        compare: Add a second graph without the techniques, to be compared with.
        say: Called with a line about each step.

    Returns:
        The folder.

    Raises:
        InputError: The folder has files, the segmenter does something that the page cannot do, or
            the runtime is missing.
        MissingDependencyError: One of the packages of the extra "onnx" is not installed.
    """
    check_page_folder(folder)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(package, purpose="Graphs")
    _check(segmenter)
    tokenizer = tokenizer_parts(segmenter.checkpoint.tokenizer)
    runtimes = runtime_files(runtime)
    variants = {"image.onnx": segmenter}
    if compare and segmenter.encoder.lht != OFF:
        variants["image.plain.onnx"] = segmenter.replace(lht=False)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
            made = Path(place, "page")
            _write_page(made)
            _write(made / "runtime", runtimes)
            _write_examples(made / "examples")
            model = made / "model"
            model.mkdir()
            for name, each in variants.items():
                say(f"Tracing the image tower as {name} and testing it; this takes about a minute.")
                pixels = segmenter.checkpoint.pixels
                export_graph(each.encoder, model / name, pixels=pixels, int8=int8)
            say("Tracing the text tower and testing it.")
            tower = segmenter.checkpoint.model.text
            export_text_tower(tower, model / "text.onnx", int8=int8)
            content = describe(segmenter, tuple(variants), int8=int8)
            files = {"tokenizer.json": _json(tokenizer), "model.json": _json(content)}
            _write(model, files)
            with suppress(OSError):  # some mounts refuse it
                made.chmod(0o755)
            if folder.is_dir():
                folder.rmdir()
            os.replace(made, folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def check_page_folder(folder: Path) -> None:
    """Refuse a folder that has files already.

    Raises:
        InputError: It has, or it is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder. Name a new one.")


def describe(segmenter: Segmenter, files: tuple[str, ...], *, int8: bool) -> dict[str, Any]:
    """Return the content of `model.json`: what the scripts have to know of the segmenter."""
    checkpoint, config = segmenter.checkpoint, segmenter.checkpoint.model.config
    windows = segmenter.windows
    return {
        "format": FORMAT,
        "version": __version__,
        "name": checkpoint.name + (" (int8)" if int8 else ""),
        "method": segmenter.encoder.method.name,
        "source": segmenter.encoder.method.source,
        "fingerprint": segmenter.fingerprint,
        "variants": [
            {"lht": number == 0 and segmenter.encoder.lht != OFF, "file": name}
            for number, name in enumerate(files)
        ],
        "patch": config.vision.patch_size,
        "width": config.projection_dim,
        "context": checkpoint.tokenizer.context_length,
        "pixels": {"mean": checkpoint.pixels.mean, "std": checkpoint.pixels.std},
        "windows": {
            "short_side": windows.short_sides[0],
            "long_side": windows.long_side,
            "window": windows.window,
            "stride": windows.stride,
            "batch": windows.at_once("cpu"),
        },
        "decoding": {
            "logit_scale": segmenter.decoding.logit_scale,
            "threshold": segmenter.decoding.threshold,
        },
        "max_pixels": min(segmenter.max_pixels, _MOST_PIXELS),
        "templates": segmenter.texts.templates,
        "colours": [f"#{bytes(colour).hex()}" for colour in class_colours(256)],
        "background_words": {"words": WORDS, "stuff": sorted(STUFF)},
        "background_colour": f"#{bytes(class_colours(1, background=0)[0]).hex()}",
        "examples": [
            {"name": scene.name, "classes": ["|".join(names) for names in scene.classes]}
            for scene in bundled_scenes()
        ],
    }


def _check(segmenter: Segmenter) -> None:
    check_exportable(segmenter.encoder)
    decoding = segmenter.decoding
    unusual = {
        "PAMR": decoding.pamr is not None,
        "TLP": decoding.tlp is not None,
        "aliases that count together": decoding.aliases is not None,
        "a class prior": decoding.prior != 0,
        "text calibration": decoding.ptc is not None,
        "mirrored windows": segmenter.windows.flip,
        "shifted windows": segmenter.windows.shifts > 1,
        "joint windows": segmenter.windows.joint,
        "several short sides": len(segmenter.windows.short_sides) > 1,
        "an area threshold": decoding.area_threshold > 0,
        "OpenCV's resize": segmenter.windows.resize != "bilinear",
        "a way of its own to read images": segmenter.reading != PLAIN,
    }
    for name, used in unusual.items():
        if used:
            raise InputError(f"The page without a server cannot do {name}. Leave it out.")


def _write_page(folder: Path) -> None:
    """Copy the server's page, with `api.js` and the worker that answer in place of the server."""
    shared = resources.files("lhtclip.server") / "page"
    local = resources.files("lhtclip.static_page") / "local"
    files = {
        each.name: each.read_bytes()
        for each in shared.iterdir()
        if each.name not in _NOT_OF_THE_PAGE
    }
    scripts = {each.name: each.read_bytes() for each in local.iterdir() if each.is_file()}
    _write(folder / "page", files | {"api.js": scripts.pop("api.js")})
    _write(folder / "page" / "local", scripts)
    index = (shared / "index.html").read_text(encoding="utf-8")
    head = '<meta charset="utf-8" />'
    policy = f'{head}\n    <meta http-equiv="Content-Security-Policy" content="{_POLICY}" />'
    _write(folder, {"index.html": index.replace(head, policy, 1).encode(), ".nojekyll": b""})


def _write_examples(folder: Path) -> None:
    _write(folder, {f"{each.name}.png": each.image.read_bytes() for each in bundled_scenes()})


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
