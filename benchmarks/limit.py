"""The machine's limit: the fastest matrix product of the same dtype, threads and process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmarks.harness import Times, Work
from lhtclip.clip.config import VisionConfig

SQUARES = {"cpu": (1024, 2048)}  # sides of square matrices, by device type
SQUARES_ELSEWHERE = (2048, 4096, 8192)


@dataclass(frozen=True, slots=True)
class Product:
    """(rows, inner) times the transpose of (columns, inner), as `Linear` multiplies."""

    rows: int
    inner: int
    columns: int

    def __str__(self) -> str:
        """Describe the product by its sizes."""
        return f"{self.rows} × {self.inner} × {self.columns}"

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns

    def work(self, dtype: torch.dtype, device: torch.device) -> Work:
        """Return a function that multiplies random matrices of these shapes."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(self.rows, self.inner, generator=generator).to(device, dtype)
        weight = torch.randn(self.columns, self.inner, generator=generator).to(device, dtype)
        return lambda: F.linear(x, weight)


def products(device: torch.device, config: VisionConfig, *, windows: int) -> list[Product]:
    """Return large squares and the linear layers of a tower for this many windows."""
    width, hidden = config.hidden_size, config.intermediate_size
    tokens = windows * (1 + config.grid_size**2)
    layers = ((width, 3 * width), (width, width), (width, hidden), (hidden, width))
    squares = SQUARES.get(device.type, SQUARES_ELSEWHERE)
    return [
        *(Product(side, side, side) for side in squares),
        *(Product(tokens, inner, columns) for inner, columns in layers),
    ]


def best_rate(times: Mapping[Product, Times]) -> tuple[Product, float]:
    """Return the fastest product and its operations a second, by the median."""
    rates = {product: product.operations / each.median for product, each in times.items()}
    fastest = max(rates, key=lambda product: rates[product])
    return fastest, rates[fastest]
