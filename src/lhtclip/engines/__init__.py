"""What runs an encoder: torch as it is, torch's compiler, or another engine on its graph."""

from __future__ import annotations

from pathlib import Path

from lhtclip.clip.config import PixelConfig
from lhtclip.encoder import DenseEncoder, PatchEncoder
from lhtclip.errors import InputError, unknown

ON_GRAPHS = ("onnx", "openvino")
ENGINES = ("torch", "compile", *ON_GRAPHS)


def check_engine(engine: str, *, graph: object, device: str, dtype: str) -> tuple[str, str]:
    """Check a choice as far as that goes without the model.

    Returns:
        Device and dtype to load the model for, as `choose_device` and `choose_dtype` have them.

    Raises:
        UnknownNameError: There is no such engine.
        InputError: The engine runs no graph, or not there, or not in that precision.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if engine not in ON_GRAPHS:
        if graph is not None:
            raise InputError(
                f"The engine {engine!r} runs no graph: choose {' or '.join(ON_GRAPHS)}, or leave "
                "the graph out."
            )
        return device, dtype
    if device not in ("auto", "cpu"):
        raise InputError(
            f"The engine {engine!r} runs on the CPU, not on {device!r}; there choose the engine "
            "torch or compile."
        )
    if dtype not in ("auto", "float32"):
        raise InputError(
            f"The engine {engine!r} works in float32, not in {dtype}; for more speed give it a "
            "graph of `lhtclip export --int8`."
        )
    return "cpu", "float32"


def run_by(
    engine: str, encoder: DenseEncoder, *, pixels: PixelConfig, graph: Path | None = None
) -> PatchEncoder:
    """Let an engine run an encoder.

    Args:
        engine: A name in `ENGINES`.
        encoder: What is run; for "onnx" and "openvino" in float32, on the CPU.
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

    from lhtclip.engines import onnx_runtime, openvino
    from lhtclip.engines.graph import GraphEncoder, graph_of

    open_graph = {"onnx": onnx_runtime, "openvino": openvino}[engine].open_graph
    path, int8 = graph_of(encoder, pixels=pixels, graph=graph)
    return GraphEncoder(f"{engine} int8" if int8 else engine, open_graph(path), encoder)
