"""One TOML string read character by character, so that each knows where it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class TomlString:
    """What a string means, where each of its characters was written, and where it ends.

    ``offsets[i]`` and ``widths[i]`` say from where to where ``value[i]`` was written.
    """

    value: str = ""
    end: int = 0
    offsets: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)


def read_string(text: str, start: int) -> TomlString:
    """Return the string whose opening quote is at ``start``. ``text`` is valid TOML."""
    quote = text[start]
    long = text.startswith(quote * 3, start)
    at = start + (3 if long else 1)
    if long and text.startswith("\n", at):
        at += 1
    string = TomlString()
    characters: list[str] = []
    while not _closes(text, at, quote, long=long):
        character, width = (text[at], 1) if quote == "'" else _character(text, at)
        if character:
            characters.append(character)
            string.offsets.append(at)
            string.widths.append(width)
        at += width
    string.value = "".join(characters)
    string.end = at + (3 if long else 1)
    return string


def _closes(text: str, at: int, quote: str, *, long: bool) -> bool:
    # Up to two quotes may stand before the closing three: the string ends with the last three.
    if long:
        return text.startswith(quote * 3, at) and not text.startswith(quote * 4, at)
    return text[at] == quote


def _character(text: str, at: int) -> tuple[str, int]:
    if text[at] != "\\":
        return text[at], 1
    joined = _CONTINUATION.match(text, at)
    if joined is not None:
        return "", joined.end() - at
    kind = text[at + 1]
    digits = _HEX_DIGITS.get(kind)
    if digits is None:
        return _ESCAPES[kind], 2
    return chr(int(text[at + 2 : at + 2 + digits], 16)), 2 + digits
