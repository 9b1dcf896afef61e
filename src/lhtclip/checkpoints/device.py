"""The device and the precision, by name or automatically."""

from __future__ import annotations

import torch

from lhtclip.errors import InputError, unknown

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(name: str) -> torch.device:
    """Return a device: "auto" prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: The device does not exist here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises AssertionError without CUDA
        raise InputError(
            f"The device {name!r} cannot be used here ({str(error).splitlines()[0]}). "
            "Use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'."
        ) from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return a precision: "auto" is the fastest with matrix units on the device.

    CUDA: bfloat16 where supported, else float16. MPS: float16. CPU: bfloat16 with AMX, else
    float32: AVX512-BF16 alone took 1.4 times as long as float32 for a ViT-B/16 (2 cores, torch
    2.13, measured by `python -m benchmarks.tower`).

    Raises:
        UnknownNameError: The name is not in `DTYPES`.
    """
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        if device.type == "mps":
            return torch.float16
        return torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32
    if name not in DTYPES:
        raise unknown("dtype", name, ("auto", *DTYPES))
    return DTYPES[name]


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a precision, such as "float32"."""
    return str(dtype).removeprefix("torch.")


def _cpu_multiplies_bfloat16() -> bool:
    query = getattr(torch.cpu, "get_capabilities", None)  # older versions of torch cannot tell
    return bool(query and query().get("amx_bf16"))
