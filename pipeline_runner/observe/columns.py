"""Tables for terminals: aligned columns that give way, least important first, until they fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len, set_cell_size
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``width`` is its least width in cells, so that it does not jump.

    One with a ``cut`` may be cut down to so many cells; after that those with a ``drop`` above
    zero may be left out, the highest first.
    """

    title: str
    align: Literal["left", "right"] = "right"
    width: int = 0
    drop: int = 0
    cut: int = 0


def lay_out(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, gap: int = 1
) -> list[Text]:
    """Return a line of titles and one line a row, each at most ``width`` cells wide.

    Where even the columns that may not be dropped are too wide, the first one is cut.
    """
    widths = [
        max(column.width, cell_len(column.title), *(_cells(row[i]) for row in rows), 0)
        for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))

    def total() -> int:
        return sum(widths[i] for i in shown) + gap * (len(shown) - 1)

    for i in shown:
        if columns[i].cut:
            widths[i] = min(widths[i], max(columns[i].cut, widths[i] - (total() - width)))
    while total() > width:
        droppable = [i for i in shown if columns[i].drop > 0]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda i: columns[i].drop))
    if total() > width:
        widths[shown[0]] = max(4, widths[shown[0]] - (total() - width))

    def line(cells: Sequence[Cell], style: str = "") -> Text:
        out = Text(style=style)
        for place, i in enumerate(shown):
            if place:
                out.append(" " * gap)
            _append(out, cells[i], widths[i], columns[i].align)
        out.rstrip()
        return fit(out, width)

    return [line([column.title for column in columns], "bold"), *(line(row) for row in rows)]


def fit(line: Text, width: int) -> Text:
    """Return ``line`` cut to ``width`` cells, with an ellipsis where something is missing."""
    if line.cell_len > width:
        line.truncate(width, overflow="ellipsis")
    return line


def _cells(cell: Cell) -> int:
    return cell_len(cell) if isinstance(cell, str) else cell.cell_len


def _append(line: Text, cell: Cell, width: int, align: Literal["left", "right"]) -> None:
    space = " " * max(0, width - _cells(cell))
    if align == "right":
        line.append(space)
    if isinstance(cell, Text):
        line.append_text(fit(cell, width))
    elif cell_len(cell) > width:
        line.append(set_cell_size(cell, width - 1) + "…")
    else:
        line.append(cell)
    if align == "left":
        line.append(space)
