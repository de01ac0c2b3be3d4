"""Rows of ratios: computed from pairs, held against a bar, printed or kept as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.pairs import Spread, spread

if TYPE_CHECKING:
    from benchmarks.measure import Measured
    from benchmarks.pairs import Pair


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio should reach, and is better past; ``at_most`` where small is good."""

    value: float
    at_most: bool = False

    def reached(self, ratio: float) -> bool:
        """Say whether ``ratio`` is at the bar or past it."""
        return ratio <= self.value if self.at_most else ratio >= self.value

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: ``ours`` and ``theirs`` pair by pair, in ``unit``."""

    what: str
    peer: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    pairs: tuple[Pair, ...]
    bar: Bar | None = None
    theirs_times: float = 1.0  # what the peer's number is multiplied by before it is compared

    @property
    def ratio(self) -> Spread:
        """Ours over theirs, one ratio a pair."""
        both = zip(self.ours, self.theirs, strict=True)
        return spread([ours / (self.theirs_times * theirs) for ours, theirs in both])

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of ``HEAD``."""
        ratio = self.ratio
        times = "" if self.theirs_times == 1 else f"{self.theirs_times:g} x "
        return (
            self.what,
            f"{number(spread(list(self.ours)).median)} {self.unit}",
            self.peer,
            f"{times}{number(spread(list(self.theirs)).median)} {self.unit}",
            f"{number(ratio.median)} ({number(ratio.low)}-{number(ratio.high)})",
            str(self.bar or ""),
            "" if self.bar is None else "yes" if self.bar.reached(ratio.median) else "NO",
            number(spread([ours.cpu_us for ours, _ in self.pairs]).median),
            number(spread([theirs.cpu_us for _, theirs in self.pairs]).median),
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data: the ratio, the bar and every run."""
        return {
            "what": self.what,
            "peer": self.peer,
            "unit": self.unit,
            "ours": self.ours,
            "theirs": self.theirs,
            "theirs_times": self.theirs_times,
            "ratio": asdict(self.ratio),
            "bar": None if self.bar is None else asdict(self.bar),
            "reached": None if self.bar is None else self.bar.reached(self.ratio.median),
            "runs": [[_facts(run) for run in pair] for pair in self.pairs],
        }


HEAD = ("what", "ours", "peer", "theirs", "ratio", "bar", "reached", "CPU us ours", "theirs")


def table(rows: list[Row]) -> str:
    """Return rows as aligned text, and under it the totals that were checked."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    checked = {(run.items, run.total) for row in rows for pair in row.pairs for run in pair}
    totals = (f"{items:,} items: {total:,}" for items, total in sorted(checked))
    return "\n".join((*text, "", "totals checked in every run:", *totals))


def _facts(run: Measured) -> dict[str, float]:
    return {name: getattr(run, name) for name in ("items", "seconds", "cpu_s", "total")}


def number(value: float) -> str:
    """Return a figure as text: three digits or all before the point, two of a small one."""
    if 0 < value < 0.1:
        return f"{value:.2g}"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
