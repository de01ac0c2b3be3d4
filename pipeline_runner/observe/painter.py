"""Keeps a block of lines at the bottom of a terminal while other lines scroll above it.

Only lines that changed are written again, in one write per frame, so nothing flickers. The
cursor always rests at the start of the row below the block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Terminals that know synchronized output show a frame as a whole; the others ignore the marks.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_CLEAR_BELOW, _CLEAR_LINE = "\x1b[J", "\x1b[2K"


class Row(NamedTuple):
    """One row as it is written, with its styles, and how many cells of the screen it takes."""

    text: str
    cells: int


class Painter:
    """Gives, for each frame, the text that turns the last frame into it."""

    def __init__(self) -> None:
        self._drawn: list[Row] = []
        self._width = 0

    def paint(self, block: Sequence[Row], above: Sequence[str], width: int) -> str:
        """Return what to write so that ``above`` scrolls away and ``block`` stands below it.

        Each row of ``block`` is at most ``width`` cells; it should leave one row of the terminal
        free. Lines of ``above`` may be longer: the terminal wraps them.
        """
        out = [_BEGIN, _HIDE_CURSOR, self._to_top(width)]
        if above or width != self._width:
            out.append(_CLEAR_BELOW)
            out.extend(f"{line}\r\n" for line in above)
            out.extend(f"{row.text}\r\n" for row in block)
        else:
            for place, row in enumerate(block):
                same = place < len(self._drawn) and self._drawn[place] == row
                out.append("\r\n" if same else f"{_CLEAR_LINE}{row.text}\r\n")
            out.append(_CLEAR_BELOW)
        out.append(_END)
        self._drawn = list(block)
        self._width = width
        return "".join(out)

    def erase(self, above: Sequence[str], width: int) -> str:
        """Return what to write so that the block is gone and the terminal is as it was."""
        out = [self._to_top(width), _CLEAR_BELOW, *(f"{line}\r\n" for line in above), _SHOW_CURSOR]
        self._drawn = []
        return "".join(out)

    def forget(self) -> None:
        """Draw the next frame below whatever stands on the screen now: others wrote there."""
        self._drawn = []

    def _to_top(self, width: int) -> str:
        # A terminal made narrower has wrapped the rows that no longer fit into several.
        rows = sum(max(1, -(-row.cells // width)) for row in self._drawn)
        return f"\r\x1b[{rows}A" if rows else "\r"
