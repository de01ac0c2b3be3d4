"""Where a key and its value stand in the text of a TOML file.

``tomli`` says what a file means but not where; this reads the same text for places alone. The text
must be valid TOML: every fault of syntax was reported before anyone asks for a place. Offsets are
code points in the text with ``\\r\\n`` read as ``\\n``, which moves no line and no column.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.config.strings import TomlString, end_of_string, read_string
from pipeline_runner.errors import Span

if TYPE_CHECKING:
    from collections.abc import Collection

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[^\s.=\[\]{}\"'#,]+")
_SIMPLE_PAIR = re.compile(
    r"([A-Za-z0-9_-]+)[ \t]*=[ \t]*([A-Za-z0-9_.+:-]+)[ \t]*(?:#[^\n]*)?(?=\n|\Z)"
)
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of the text: offsets, end exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands and where its value does. A list's element has its value for a key.

    The value of a ``[table]`` is its header.
    """

    key: Extent
    value: Extent


def lies_in(path: KeyPath, known: Collection[KeyPath]) -> bool:
    """Whether ``path`` or a table around it is among ``known``, a set."""
    return any(path[:length] in known for length in range(1, len(path) + 1))


class Locator:
    """The places of one text, asked for by key path: ``("stages", "list", "run")``."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._file = file
        self._lines = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._places = scan(self._text)
        self._read: tuple[int, TomlString] | None = None  # the last string, and where it begins

    def key(self, path: KeyPath) -> Span:
        """Return where the last key of ``path`` stands, or the nearest table around it."""
        return self._span(self._nearest(path).key)

    def value(self, path: KeyPath) -> Span:
        """Return where the value at ``path`` stands, or the nearest table around it."""
        return self._span(self._nearest(path).value)

    def inside(self, path: KeyPath, start: int, end: int) -> Span:
        """Return where the characters ``start`` to ``end`` of the string at ``path`` stand.

        They are counted as the string means them, so an escape is one character. A stretch of no
        characters, and a value that is no string, is shown whole.
        """
        extent = self._nearest(path).value
        if path not in self._places or self._text[extent.start] not in "\"'":
            return self._span(extent)
        string = self._string_at(extent.start)
        if not 0 <= start < end <= len(string.value):
            return self._span(extent)
        return self._span(Extent(*string.written(start, end)))

    def string(self, path: KeyPath) -> str | None:
        """Return what the string at ``path`` means; None when there is none."""
        place = self._places.get(path)
        if place is None or self._text[place.value.start] not in "\"'":
            return None
        return self._string_at(place.value.start).value

    def _string_at(self, start: int) -> TomlString:
        # A long string can hold a great many faults, and is read once for all of them.
        if self._read is None or self._read[0] != start:
            self._read = (start, read_string(self._text, start))
        return self._read[1]

    def _nearest(self, path: KeyPath) -> Place:
        for length in range(len(path), 0, -1):
            place = self._places.get(path[:length])
            if place is not None:
                return place
        first = Extent(0, self._text.find("\n") if "\n" in self._text else len(self._text))
        return Place(first, first)

    def _span(self, extent: Extent) -> Span:
        line, column = self._position(extent.start)
        end_line, end_column = self._position(extent.end)
        return Span(self._file, line, column, end_line, end_column)

    def _position(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1


def scan(text: str) -> dict[KeyPath, Place]:
    """Return the place of every key and list element of ``text``, which is valid TOML."""
    return _Scan(text).places


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.places: dict[KeyPath, Place] = {}
        self._lengths: dict[KeyPath, int] = {}  # of the arrays of tables
        self._document()

    def _document(self) -> None:
        table: KeyPath = ()
        at = self._skip(_BLANK, 0)
        while at < len(self.text):
            simple = _SIMPLE_PAIR.match(self.text, at)
            if simple is not None:  # most lines of most files, and a file may be very long
                key, value = Extent(*simple.span(1)), Extent(*simple.span(2))
                path = (*table, simple[1])
                self.places[path] = Place(key, value)
                at = simple.end()
            elif self.text[at] == "[":
                table, at = self._header(at)
            else:
                at = self._pair(at, table)
            at = self._skip(_BLANK, at)

    def _header(self, at: int) -> tuple[KeyPath, int]:
        brackets = 2 if self.text.startswith("[[", at) else 1
        keys, end = self._keys(at + brackets)
        extent = Extent(at, self.text.index("]", end) + brackets)
        path: KeyPath = ()
        for key, where in keys[:-1]:
            path = (*path, key)
            self.places.setdefault(path, Place(where, extent))
            path = self._last_of(path)
        key, where = keys[-1]
        path = (*path, key)
        if brackets == 2:
            self.places.setdefault(path, Place(where, extent))
            self._lengths[path] = self._lengths.get(path, 0) + 1
            path = self._last_of(path)
        self.places[path] = Place(where, extent)
        return path, extent.end

    def _last_of(self, path: KeyPath) -> KeyPath:
        """A name that was a ``[[list]]`` means, further down, that list's last element."""
        return (*path, self._lengths[path] - 1) if path in self._lengths else path

    def _pair(self, at: int, table: KeyPath) -> int:
        keys, end = self._keys(at)
        path = (*table, *(key for key, _ in keys))
        start = self._skip(_SPACE, self.text.index("=", end) + 1)
        end = self._value(start, path)
        for depth, (_, where) in enumerate(keys[:-1], start=len(table) + 1):
            self.places.setdefault(path[:depth], Place(where, Extent(at, end)))
        self.places[path] = Place(keys[-1][1], Extent(start, end))
        return end

    def _keys(self, at: int) -> tuple[list[tuple[str, Extent]], int]:
        keys: list[tuple[str, Extent]] = []
        while True:
            at = self._skip(_SPACE, at)
            key, end = self._key(at)
            keys.append((key, Extent(at, end)))
            at = self._skip(_SPACE, end)
            if not self.text.startswith(".", at):
                return keys, end
            at += 1

    def _key(self, at: int) -> tuple[str, int]:
        if self.text[at] in "\"'":
            string = read_string(self.text, at)
            return string.value, string.end
        end = self._skip(_BARE_KEY, at)
        return self.text[at:end], end

    def _value(self, at: int, path: KeyPath) -> int:
        match self.text[at]:
            case '"' | "'":
                return end_of_string(self.text, at)
            case "[":
                return self._array(at, path)
            case "{":
                return self._inline_table(at, path)
            case _:
                end = self._skip(_BARE_VALUE, at)
                return at + len(self.text[at:end].rstrip())

    def _array(self, at: int, path: KeyPath) -> int:
        index = 0
        at = self._skip(_BLANK, at + 1)
        while self.text[at] != "]":
            element = (*path, index)
            end = self._value(at, element)
            self.places[element] = Place(Extent(at, end), Extent(at, end))
            index += 1
            at = self._after_comma(end)
        return at + 1

    def _inline_table(self, at: int, path: KeyPath) -> int:
        at = self._skip(_BLANK, at + 1)
        while self.text[at] != "}":
            at = self._after_comma(self._pair(at, path))
        return at + 1

    def _after_comma(self, at: int) -> int:
        at = self._skip(_BLANK, at)
        return self._skip(_BLANK, at + 1) if self.text[at] == "," else at

    def _skip(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self.text, at)
        assert match is not None
        return match.end()
