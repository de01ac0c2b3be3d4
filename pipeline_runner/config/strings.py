"""One TOML string: where it ends, what it means, and where each of its characters was written."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

_ESCAPES = {
    "b": "\b",
    "t": "\t",
    "n": "\n",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    '"': '"',
    "\\": "\\",
}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_CONTINUATION = re.compile(r"\\[ \t]*\n[ \t\n]*")
_PLAIN = re.compile(r"[^\\]*")


class _Stretch(NamedTuple):
    """Characters of the value from ``at`` on, written from ``offset`` on.

    With a ``width`` they are one character, an escape; without, each is written as itself.
    """

    at: int
    offset: int
    width: int = 0


@dataclass(frozen=True, slots=True)
class TomlString:
    """What a string means, and where it ends."""

    value: str
    end: int
    stretches: tuple[_Stretch, ...]

    def written(self, start: int, end: int) -> tuple[int, int]:
        """Return the offsets between which ``value[start:end]``, not empty, was written."""
        return self._extent(start)[0], self._extent(end - 1)[1]

    def _extent(self, index: int) -> tuple[int, int]:
        found = bisect_right(self.stretches, index, key=lambda stretch: stretch.at) - 1
        at, offset, width = self.stretches[found]
        return (offset, offset + width) if width else (offset + index - at, offset + index - at + 1)


def end_of_string(text: str, start: int) -> int:
    """Return where the string whose opening quote is at ``start`` ends. ``text`` is valid TOML."""
    quote = text[start]
    closing = quote * 3 if text.startswith(quote * 3, start) else quote
    first = at = start + len(closing)
    while True:
        at = text.index(closing, at)
        if quote == "'" or not _is_escaped(text, at, first):
            break
        at += 1
    # Up to two quotes may stand before the closing three: the string ends with the last three.
    while len(closing) == 3 and text.startswith(quote, at + 3):
        at += 1
    return at + len(closing)


def _is_escaped(text: str, at: int, first: int) -> bool:
    before = at
    while before > first and text[before - 1] == "\\":
        before -= 1
    return (at - before) % 2 == 1


def read_string(text: str, start: int) -> TomlString:
    """Return the string whose opening quote is at ``start``. ``text`` is valid TOML."""
    end = end_of_string(text, start)
    quote = text[start]
    marks = 3 if text.startswith(quote * 3, start) else 1
    at, last = start + marks, end - marks
    if marks == 3 and text.startswith("\n", at):
        at += 1
    if quote == "'" or "\\" not in text[at:last]:
        return TomlString(text[at:last], end, (_Stretch(0, at),))
    parts: list[str] = []
    stretches: list[_Stretch] = []
    length = 0
    while at < last:
        if text[at] == "\\":
            part, width = _escape(text, at)
            if part:
                stretches.append(_Stretch(length, at, width))
        else:
            plain = _PLAIN.match(text, at, last)
            assert plain is not None
            part, width = plain.group(), plain.end() - at
            stretches.append(_Stretch(length, at))
        parts.append(part)
        length += len(part)
        at += width
    return TomlString("".join(parts), end, tuple(stretches))


def _escape(text: str, at: int) -> tuple[str, int]:
    """Return what the escape at ``at`` means, and how wide it is written."""
    joined = _CONTINUATION.match(text, at)
    if joined is not None:
        return "", joined.end() - at
    kind = text[at + 1]
    digits = _HEX_DIGITS.get(kind)
    if digits is None:
        return _ESCAPES[kind], 2
    return chr(int(text[at + 2 : at + 2 + digits], 16)), 2 + digits
