"""A text that is not TOML: what tomli says of it, with the cure and the place it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline_runner.config.faults import cut
from pipeline_runner.errors import Problem, Span

if TYPE_CHECKING:
    from tomli import TOMLDecodeError

_SYNTAX_HINTS = {
    "Invalid value": 'text stands between quotes: key = "value"',
    "Cannot declare": "put its keys under the first one",
    "Cannot overwrite": "a key stands in its table only once",
    "Cannot mutate": "an inline table is complete where it stands",
    "Duplicate inline": "a key stands in its table only once",
    "Expected '='": "a line is `key = value`, [table] or [[table]]",
    "Invalid statement": "a line is `key = value`, [table] or [[table]]",
    "Unescaped": r"write \\, or take single quotes: 'C:\path'",
    "Illegal character '\\n'": "text ends on its line, or stands between three quotes",
    "Expected newline": "one key a line",
    "Unclosed array": "a list ends with ]",
    'Expected "\'"': "text ends with the quote it began with",
    "Unterminated string": "text ends with the quote it began with",
}

# Python reads no number of more than 4,300 digits; 64 bits have 19.
_LONG_NUMBER = re.compile(r"(?<=[=\[,\s])[+-]?[0-9](?:_?[0-9]){4300,}")
_TWICE = re.compile(r"(Cannot declare|Cannot mutate immutable namespace) \((.*?),?\).*")


def syntax_problem(error: TOMLDecodeError, text: str, file: str) -> Problem:
    """Return the fault of syntax that ended the reading of ``text``."""
    message = error.msg[:1].lower() + error.msg[1:]
    named = _TWICE.fullmatch(error.msg)
    if named is not None:
        name = ".".join(key[1:-1] for key in named.group(2).split(", "))
        second = named.group(1) == "Cannot declare"
        message = f"[{name}] stands here a second time" if second else f"{name} is complete already"
    hint = next((hint for start, hint in _SYNTAX_HINTS.items() if error.msg.startswith(start)), "")
    return Problem("toml-syntax", cut(message), _span(error, text, file), hint)


def long_number_problem(text: str, file: str) -> Problem:
    """Return the fault of a number that is too long to be read at all."""
    text = text.replace("\r\n", "\n")
    found = _LONG_NUMBER.search(text)
    start, end = found.span() if found else (0, 0)
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    span = Span(file, line, column, line, column + max(end - start, 1))
    return Problem("toml-syntax", "a whole number has at most 64 bits", span)


def _span(error: TOMLDecodeError, text: str, file: str) -> Span:
    line, column = error.lineno, error.colno
    lines = text.replace("\r\n", "\n").split("\n")
    if error.msg.startswith("Cannot"):
        # tomli notices what stands twice at its end; the key or the header is what to look at.
        source = lines[line - 1][: column + 1]
        shown = source.partition("=")[0].rstrip() or source
        start = len(shown) - len(shown.lstrip())
        return Span(file, line, start + 1, line, len(shown) + 1)
    return Span(file, line, column, line, column + 1)
