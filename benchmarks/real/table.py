"""Cells of whole jobs to rows of ratios, for a terminal and for the page: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.pairs import Spread, spread
from benchmarks.table import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEAD = ("", "ours, s", "theirs, s", "ours / theirs", "CPU s, ours", "theirs", "bar")


@dataclass(frozen=True, slots=True)
class Row:
    """One peer on one job; ``ratio`` is of the times, so small is good."""

    peer: str
    ours_s: float
    theirs_s: float
    ratio: Spread
    ours_cpu_s: float
    theirs_cpu_s: float
    rounds: int
    bar: float | None

    @property
    def is_missed(self) -> bool:
        """Whether there is a bar, and the median is past it."""
        return self.bar is not None and self.ratio.median > self.bar

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of ``HEAD``."""
        ratio = self.ratio
        reached = "**missed**" if self.is_missed else "reached"
        return (
            self.peer,
            number(self.ours_s),
            number(self.theirs_s),
            f"**{ratio.median:.2f}** ({ratio.low:.2f}-{ratio.high:.2f}; {self.rounds})",
            number(self.ours_cpu_s),
            number(self.theirs_cpu_s),
            "" if self.bar is None else f"{self.bar:g}, {reached}",
        )


def rows(cells: Sequence[Mapping[str, Any]], bars: Mapping[str, float]) -> list[Row]:
    """Return a row for each cell that has numbers."""
    return [_row(cell, bars.get(cell["peer"])) for cell in cells if not cell["failed"]]


def _row(cell: Mapping[str, Any], bar: float | None) -> Row:
    ours, theirs = cell["ours"], cell["theirs"]

    def middle(runs: Sequence[Mapping[str, float]], key: str) -> float:
        return spread([run[key] for run in runs]).median

    pairs = zip(ours, theirs, strict=True)
    return Row(
        cell["peer"],
        middle(ours, "seconds"),
        middle(theirs, "seconds"),
        spread([mine["seconds"] / other["seconds"] for mine, other in pairs]),
        middle(ours, "cpu_s"),
        middle(theirs, "cpu_s"),
        len(ours),
        bar,
    )


def text(found: Sequence[Row]) -> str:
    """Return rows as aligned text."""
    lines = [HEAD, *(tuple(cell.replace("*", "") for cell in row.cells()) for row in found)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def markdown(found: Sequence[Row]) -> str:
    """Return rows as a table of Markdown."""
    lines = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *(row.cells() for row in found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
