"""The style of figures, and how they are saved; matplotlib draws them if it is installed.

Markers, hatches and dashes repeat what colours say, so figures can be read in grey.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lhtclip.errors import MissingDependencyError
from lhtclip.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

INK, BLUE, ORANGE, GREY = "#202124", "#1f77d0", "#f0a30a", "#8a8f98"
_DPI = 120
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e3e5e8",
    "legend.frameon": False,
    "lines.markersize": 4,
    "hatch.linewidth": 0.6,
    "image.cmap": "viridis",  # its lightness increases monotonically
    "svg.hashsalt": "lhtclip",  # the same figure gives the same file
    "savefig.dpi": _DPI,
}


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def check_can_draw() -> None:
    """Check that matplotlib is installed.

    Raises:
        MissingDependencyError: It is not.
    """
    if not can_draw():
        raise MissingDependencyError("Figures need matplotlib: pip install 'lhtclip[analysis]'.")


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run a function in the style of these figures.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """

    @wraps(draw)
    def run(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        check_can_draw()
        import matplotlib as mpl

        with mpl.rc_context(_STYLE):
            return draw(*arguments, **named)

    return run


@styled
def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as PNG and SVG; the same figure always gives the same bytes.

    Args:
        figure: From a function of this module.
        stem: Path without the suffixes.

    Returns:
        The two files.
    """
    files: list[Path] = []
    for suffix, unsaid in ((".png", "Software"), (".svg", "Date")):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], metadata={unsaid: None})
        files.append(write_atomically(stem.with_name(stem.name + suffix), buffer.getvalue()))
    return files[0], files[1]


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def number_layers(axes: Axes, last: int) -> None:
    """Show layers on the horizontal axis, from 1 to the last."""
    step = 1 if last <= 12 else 2
    axes.set_xticks(range(1, last + 1, step))
    axes.set_xlim(0.5, last + 0.5)
    axes.set_xlabel("layer")
