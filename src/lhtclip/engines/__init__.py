"""What runs an encoder: torch as it is, torch's compiler, or ONNX Runtime on its graph."""

from __future__ import annotations

from pathlib import Path

from lhtclip.clip.config import PixelConfig
from lhtclip.encoder import DenseEncoder, PatchEncoder
from lhtclip.errors import InputError, unknown

ENGINES = ("torch", "compile", "onnx")


def check_engine(engine: str, *, graph: object, device: str, dtype: str) -> tuple[str, str]:
    """Check a choice as far as that is possible without the model.

    Returns:
        The device and dtype to load the model with, for `choose_device` and `choose_dtype`.

    Raises:
        UnknownNameError: There is no such engine.
        InputError: The engine does not run graphs, or not on this device or in this dtype.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if engine != "onnx":
        if graph is not None:
            raise InputError(
                f"The engine {engine!r} does not run graphs: use the engine 'onnx', or leave the "
                "graph out."
            )
        return device, dtype
    if device not in ("auto", "cpu"):
        raise InputError(
            f"The engine 'onnx' runs on the CPU, not on {device!r}: use the engine 'torch' or "
            "'compile' there."
        )
    if dtype not in ("auto", "float32"):
        raise InputError(
            f"The engine 'onnx' works in float32, not in {dtype}: for more speed, give it a graph "
            "of `lhtclip export --int8`."
        )
    return "cpu", "float32"


def run_by(
    engine: str, encoder: DenseEncoder, *, pixels: PixelConfig, graph: Path | None = None
) -> PatchEncoder:
    """Let an engine run an encoder.

    Args:
        engine: A name in `ENGINES`.
        encoder: The encoder; for "onnx" in float32, on the CPU.
        pixels: How levels are normalised, for a graph that is still to be written.
        graph: A file of `lhtclip export`; None for one that is written once and kept in the cache.

    Raises:
        InputError: The engine cannot run this encoder, or the graph is that of another.
        MissingDependencyError: The engine is not installed.
    """
    if engine == "torch":
        return encoder
    if engine == "compile":
        from lhtclip.engines.compiled import CompiledEncoder

        return CompiledEncoder(encoder)

    from lhtclip.engines.graph import GraphEncoder, graph_of
    from lhtclip.engines.onnx_runtime import open_graph

    path, int8 = graph_of(encoder, pixels=pixels, graph=graph)
    return GraphEncoder("onnx int8" if int8 else "onnx", open_graph(path), encoder)
