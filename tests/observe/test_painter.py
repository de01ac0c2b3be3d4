from __future__ import annotations

import re
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.observe.painter import Painter, Row


@dataclass
class Terminal:
    """As much of a terminal as the painter uses, with a scrollback that never ends."""

    width: int = 80
    rows: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    cursor_shown: bool = True

    def write(self, text: str) -> None:
        for code, plain in re.findall(r"\x1b\[(\??[0-9]*[A-Za-z])|([^\x1b])", text, re.DOTALL):
            if code:
                self._obey(code)
            elif plain == "\r":
                self.column = 0
            elif plain == "\n":
                self.row += 1
                if self.row == len(self.rows):
                    self.rows.append("")
            else:
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[: self.column] + plain + line[self.column + 1 :]
                self.column += 1

    def narrow(self, width: int) -> None:
        """Wrap what no longer fits, as terminals do."""
        assert self.column == 0
        above = [
            part
            for line in self.rows[: self.row]
            for part in ([line[i : i + width] for i in range(0, len(line), width)] or [""])
        ]
        self.rows, self.row, self.width = [*above, ""], len(above), width

    def _obey(self, code: str) -> None:
        if code.endswith("A"):
            self.row -= int(code[:-1])
            assert self.row >= 0
        elif code == "J":
            self.rows[self.row] = self.rows[self.row][: self.column]
            del self.rows[self.row + 1 :]
        elif code == "2K":
            self.rows[self.row] = ""
        elif code in ("?25l", "?25h"):
            self.cursor_shown = code == "?25h"
        else:
            assert code in ("?2026h", "?2026l"), code


def rows(*texts: str) -> list[Row]:
    return [Row(text, len(text)) for text in texts]


texts = st.lists(st.text("abc", max_size=12), max_size=5)


@given(st.lists(st.tuples(texts, texts), max_size=6))
def test_what_scrolled_stays_in_order_and_the_block_is_below_it(
    frames: list[tuple[list[str], list[str]]],
) -> None:
    terminal, painter, scrolled = Terminal(), Painter(), []
    for block, above in frames:
        scrolled += above
        terminal.write(painter.paint(rows(*block), above, 80))
        assert terminal.rows == [*scrolled, *block, ""]
    terminal.write(painter.erase(["the end"], 80))
    assert terminal.rows == [*scrolled, "the end", ""]
    assert terminal.cursor_shown


def test_a_row_that_did_not_change_is_not_written_again() -> None:
    painter = Painter()
    painter.paint(rows("same", "old"), [], 80)
    written = painter.paint(rows("same", "new"), [], 80)
    assert "same" not in written
    assert "new" in written


def test_a_narrower_terminal_leaves_no_ghost_of_the_block() -> None:
    terminal, painter = Terminal(), Painter()
    terminal.write(painter.paint(rows("x" * 70, "y" * 30), ["above"], 80))
    terminal.narrow(40)
    terminal.write(painter.paint(rows("x" * 40, "y" * 30), [], 40))
    assert terminal.rows == ["above", "x" * 40, "y" * 30, ""]
