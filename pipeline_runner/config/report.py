"""Problems as a person, a program and GitHub read them. Text comes out; nothing is printed.

A frame shows the line, a caret under exactly the faulty text, and the cure::

    error[unknown-key]: `proceses` is not a stage setting
     --> pipeline.toml:5:1
    5 | proceses = 4
      | ^^^^^^^^ did you mean `processes`?
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline_runner.errors import Problem, Severity, Span

TAB_WIDTH = 4
MOST_SHOWN = 200  # problems as frames; whoever has more mends these first
LINE_WIDTH = 120  # of a source line; a longer one is shown around its fault


@dataclass(frozen=True, slots=True)
class Style:
    """What to write before each part of a frame, and ``reset`` after it."""

    error: str = ""
    warning: str = ""
    note: str = ""
    strong: str = ""
    faint: str = ""
    reset: str = ""

    def of(self, severity: Severity) -> str:
        """Return the style of a severity."""
        return {"error": self.error, "warning": self.warning, "note": self.note}[severity]


PLAIN = Style()
ANSI = Style(
    error="\x1b[1;31m",
    warning="\x1b[1;33m",
    note="\x1b[1;36m",
    strong="\x1b[1m",
    faint="\x1b[2m",
    reset="\x1b[0m",
)


def render(problems: Sequence[Problem], text: str, style: Style = PLAIN) -> str:
    """Return the problems of the file ``text`` as frames, and a last line that counts them."""
    if not problems:
        return ""
    lines = text.replace("\r\n", "\n").split("\n")
    shown = [frame(problem, lines, style) for problem in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        shown.append(
            f"... and {len(problems) - MOST_SHOWN:,} more: runner check --json has them all"
        )
    return "\n".join([*shown, count(problems)])


def frame(problem: Problem, lines: Sequence[str], style: Style = PLAIN) -> str:
    """Return one problem as a frame over ``lines``, those of its file, without a line end."""
    mark = style.of(problem.severity)
    head = f"{mark}{problem.severity}[{problem.code}]{style.reset}"
    head += f"{style.strong}: {_plain(problem.message)}{style.reset}"
    span = problem.span
    if span is None:
        return f"{head}\n  {_plain(problem.hint)}" if problem.hint else head
    number = str(span.line)
    edge = f"{style.faint}{number} |{style.reset}"
    blank = f"{style.faint}{' ' * len(number)} |{style.reset}"
    place = f"{style.faint}{' ' * len(number)}-->{style.reset} {where(span)}"
    source = lines[span.line - 1] if span.line <= len(lines) else ""
    shown, before, under = _underlined(source, span)
    caret = (
        f"{blank} {' ' * before}{mark}{'^' * under} {_plain(problem.hint)}".rstrip() + style.reset
    )
    return "\n".join([head, place, f"{edge} {shown}".rstrip(), caret])


def where(span: Span) -> str:
    """Return ``file:line:column``, which terminals and editors turn into a link."""
    return f"{_plain(span.file)}:{span.line}:{span.column}"


def count(problems: Iterable[Problem]) -> str:
    """Return how many there are, such as "2 errors, 1 warning"."""
    kinds = [problem.severity for problem in problems]
    counts = [(kinds.count(kind), kind) for kind in ("error", "warning", "note")]
    return ", ".join(f"{n:,} {kind}{'s' if n > 1 else ''}" for n, kind in counts if n)


def as_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Return the problems as plain data; the places are None for one that has none."""
    return [
        {
            "severity": problem.severity,
            "code": problem.code,
            "message": problem.message,
            "hint": problem.hint,
            "file": problem.span.file if problem.span else None,
            "line": problem.span.line if problem.span else None,
            "column": problem.span.column if problem.span else None,
            "end_line": problem.span.end_line if problem.span else None,
            "end_column": problem.span.end_column if problem.span else None,
        }
        for problem in problems
    ]


def github(problems: Iterable[Problem]) -> str:
    """Return the problems as workflow commands, which GitHub shows beside the file's lines."""
    return "\n".join(_command(problem) for problem in problems)


def _command(problem: Problem) -> str:
    level = "notice" if problem.severity == "note" else problem.severity
    properties = {"title": problem.code}
    if problem.span is not None:
        span = problem.span
        properties["file"] = span.file
        properties["line"], properties["endLine"] = str(span.line), str(span.end_line)
        if span.line == span.end_line:  # GitHub knows columns within one line only
            properties["col"] = str(span.column)
            properties["endColumn"] = str(max(span.column, span.end_column - 1))
    listed = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    message = problem.message + (f" ({problem.hint})" if problem.hint else "")
    return f"::{level} {listed}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    text = text.encode(errors="backslashreplace").decode()  # bytes of a name may be no characters
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + more else c for c in text)


def _plain(text: str) -> str:
    """Messages quote the file and user code, and neither must steer the terminal."""
    if text.isprintable():  # nearly always, and a file may have a great many faults
        return text
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in text)


def _underlined(source: str, span: Span) -> tuple[str, int, int]:
    """Return the line to show, the columns before its fault, and the columns of the fault."""
    end = span.end_column if span.end_line == span.line else len(source) + 1
    first = min(span.column - 1, len(source))
    last = min(max(end - 1, first), len(source))
    start, stop = _window(len(source), first, last)
    cells = _cells(source[start:stop])  # of what is shown alone: a line can be megabytes long
    shown = "".join(cell for cell, _ in cells)
    shown = ("…" if start else "") + shown + ("…" if stop < len(source) else "")
    before = sum(width for _, width in cells[: first - start]) + bool(start)
    under = sum(width for _, width in cells[first - start : last - start])
    return shown, before, max(under, 1)


def _window(length: int, first: int, last: int) -> tuple[int, int]:
    if length <= LINE_WIDTH:
        return 0, length
    start = max(0, min(first - LINE_WIDTH // 4, last - LINE_WIDTH // 2))
    return start, min(length, start + LINE_WIDTH)


def _cells(source: str) -> list[tuple[str, int]]:
    """Return what a terminal shows for each character, and how many columns that takes."""
    if source.isascii() and source.isprintable():
        return [(character, 1) for character in source]
    cells: list[tuple[str, int]] = []
    column = 0
    for character in source:
        width = 1
        if character == "\t":
            width = TAB_WIDTH - column % TAB_WIDTH
            character = " " * width
        elif unicodedata.category(character) in {"Mn", "Me", "Cf"}:
            width = 0
        elif unicodedata.category(character) == "Cc":
            character = "\ufffd"
        elif unicodedata.east_asian_width(character) in {"W", "F"}:
            width = 2
        cells.append((character, width))
        column += width
    return cells
