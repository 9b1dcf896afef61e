"""Search for the settings of the techniques, one coordinate at a time.

Each step compares candidates that differ in one setting, and the next step starts from the best
one. On ties the first candidate wins, which is the paper's. The result is the best of everything
measured, so a technique that never helped is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import Head, SheSettings
from lhtclip.techniques.ssr import SsrSettings

Score = Callable[[LhtSettings], float]


@dataclass(frozen=True, slots=True)
class Grid:
    """The values to try, the paper's first.

    Attributes:
        alphas: α of SSR; SSR switched off is tried as well.
        more_layers: Change in the number of layers that SSR acts in, counted back from the last
            block. Always against the first number, so that no earlier step narrows the choice.
        heads: k of SHE; all heads if there are fewer.
        betas: β of SHE, with the plain cosine and with the mean removed.
    """

    alphas: tuple[float, ...] = (0.1, 0.05, 0.2, 0.3, 0.4, 0.5)
    more_layers: tuple[int, ...] = (0, -1, 1, -2, 2, -3)
    heads: tuple[int, ...] = (10, 3, 5, 20, 30)
    betas: tuple[float, ...] = (0.4, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Findings:
    """Measurements that the search starts from.

    Attributes:
        depth: Number of layers of the tower.
        ranking: Heads of the layers before the last, best first.
        layers: Number of layers before the last in which SSR is tried first.
        atr: ATR with τ from the sparsity gap.
        grid: The values to try.
    """

    depth: int
    ranking: tuple[Head, ...]
    layers: int
    atr: AtrSettings
    grid: Grid = Grid()


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the search, with the settings that won and their score."""

    name: str
    compared: int
    chosen: LhtSettings
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Everything that was tried: scores by settings, in the order of measurement, and the steps."""

    scores: Mapping[LhtSettings, float]
    steps: tuple[Step, ...]

    @property
    def best(self) -> LhtSettings:
        """The settings with the highest score; on ties, those measured first."""
        return max(self.scores, key=lambda settings: self.scores[settings])


def search(findings: Findings, score: Score) -> Search:
    """Find the settings with the highest score.

    Args:
        findings: Where to start, and what to try.
        score: Scores settings, higher is better; called once for each.
    """
    scores: dict[LhtSettings, float] = {}
    steps: list[Step] = []
    current = OFF
    for name, propose in _STEPS.items():
        candidates = propose(findings, current)
        for settings in candidates:
            if settings not in scores:
                scores[settings] = score(settings)
        current = max(candidates, key=lambda settings: scores[settings])
        steps.append(Step(name, len(candidates), current, scores[current]))
    return Search(scores, tuple(steps))


def most_candidates(findings: Findings) -> int:
    """Return the maximum number of measurements; some settings occur in two steps."""
    nothing_matters = search(findings, lambda settings: 0.0)
    return sum(step.compared for step in nothing_matters.steps)


def brief(settings: LhtSettings) -> str:
    """Describe settings in a few words, such as "ATR 0.5, SSR 10-11 α 0.1, SHE 10 heads β 0.4"."""
    parts: list[str] = []
    if settings.atr:
        parts.append(f"ATR {settings.atr.threshold:g}")
    if settings.ssr:
        layers = settings.ssr.layers
        parts.append(f"SSR {layers[0]}-{layers[-1]} α {settings.ssr.alpha:g}")
    if settings.she:
        she = settings.she
        forms = {"row": she.normalise == "row", "unit": she.unit_heads, "centred": she.centred}
        words = " ".join(word for word, holds in forms.items() if holds)
        parts.append(f"SHE {len(she.heads)} heads β {she.beta:g} {words}".rstrip())
    return ", ".join(parts) or "no technique"


def _nothing(findings: Findings, current: LhtSettings) -> list[LhtSettings]:
    return [OFF]


def _atr(findings: Findings, current: LhtSettings) -> list[LhtSettings]:
    return [replace(current, atr=findings.atr)]


def _ssr(findings: Findings, current: LhtSettings) -> list[LhtSettings]:
    counts = [findings.layers + more for more in findings.grid.more_layers]
    return [replace(current, ssr=None)] + [
        replace(current, ssr=SsrSettings(tuple(range(findings.depth - count, findings.depth)), a))
        for count in counts
        if 1 <= count < findings.depth
        for a in findings.grid.alphas
    ]


def _similarity(findings: Findings, current: LhtSettings) -> list[LhtSettings]:
    heads = findings.ranking[: findings.grid.heads[0]]
    return [
        replace(current, she=SheSettings(heads, beta=beta, centred=centred))
        for centred in (False, True)
        for beta in findings.grid.betas
    ]


def _head_count(findings: Findings, current: LhtSettings) -> list[LhtSettings]:
    chosen = dict.fromkeys(findings.ranking[:count] for count in findings.grid.heads)
    return _with_she(current, [{"heads": heads} for heads in chosen])


def _weights(findings: Findings, current: LhtSettings) -> list[LhtSettings]:
    ways = [
        {"normalise": normalise, "unit_heads": unit_heads}
        for normalise in ("column", "row")
        for unit_heads in (False, True)
    ]
    return _with_she(current, ways)


def _beta(findings: Findings, current: LhtSettings) -> list[LhtSettings]:
    return _with_she(current, [{"beta": beta} for beta in findings.grid.betas])


def _with_she(current: LhtSettings, changes: Sequence[Mapping[str, object]]) -> list[LhtSettings]:
    she = current.she
    return [replace(current, she=replace(she, **change)) for change in changes if she]


_STEPS: Mapping[str, Callable[[Findings, LhtSettings], list[LhtSettings]]] = {
    "no technique": _nothing,
    "ATR": _atr,
    "SSR": _ssr,
    "SHE: similarity": _similarity,
    "SHE: heads": _head_count,
    "SHE: weights": _weights,
    "SHE: β": _beta,
    "SSR with SHE": _ssr,
}
