"""The patterns of one ``.gitignore``, exactly as git reads them.

Everything is matched byte by byte, as git does: here each byte is one character of Latin-1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
_NEVER = r"(?!)"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line. ``hides`` is False for one that begins with ``!``."""

    text: str
    line: int
    hides: bool
    only_folders: bool
    by_name: bool  # it has no slash: the name alone decides, in any folder
    regex: str  # of the whole name, or of the whole path below the pattern's folder


class Patterns:
    """The patterns of one file, the last that matches decides."""

    def __init__(self, source: str, lines: Iterable[str], *, fold: bool = False) -> None:
        self.source = source
        flags = re.DOTALL | (re.IGNORECASE if fold else 0)
        read = [parse(text, number) for number, text in enumerate(lines, 1)]
        patterns = [pattern for pattern in read if pattern is not None]
        self._last_first = [(p, re.compile(p.regex, flags)) for p in reversed(patterns)]
        # Most paths match nothing: one look each at the name and at the path tells.
        names = "|".join(f"(?:{p.regex})" for p in patterns if p.by_name)
        wholes = "|".join(f"(?:{p.regex})" for p in patterns if not p.by_name)
        self._any_name = re.compile(names or _NEVER, flags).fullmatch
        self._any_path = re.compile(wholes or _NEVER, flags).fullmatch

    def match(self, path: str, *, is_folder: bool) -> Pattern | None:
        """Return the pattern that decides about ``path``, relative to the patterns' folder."""
        path = as_bytes(path)
        name = path.rpartition("/")[2]
        if not self._any_name(name) and not self._any_path(path):
            return None
        for pattern, regex in self._last_first:
            if pattern.only_folders and not is_folder:
                continue
            if regex.fullmatch(name if pattern.by_name else path):
                return pattern
        return None


def as_bytes(text: str) -> str:
    """Return ``text`` with a character for each byte of its UTF-8."""
    return text if text.isascii() else text.encode(errors="surrogateescape").decode("latin-1")


def parse(text: str, line: int = 0) -> Pattern | None:
    """Return the pattern of one line; None for a blank one and a comment."""
    body = _without_trailing_spaces(as_bytes(text.rstrip("\n").removesuffix("\r")))
    if not body or body.startswith("#"):
        return None
    hides = not body.startswith("!")
    body = body if hides else body[1:]
    only_folders = body.endswith("/")
    body = body.removesuffix("/")
    by_name = "/" not in body
    regex = translate(body.removeprefix("/"), across=by_name)
    return Pattern(text.strip(), line, hides, only_folders, by_name, regex if body else _NEVER)


def _without_trailing_spaces(body: str) -> str:
    end = len(body)
    while end and body[end - 1] == " ":
        end -= 1
    escaped = (len(body[:end]) - len(body[:end].rstrip("\\"))) % 2
    return body[: end + 1] if escaped and end < len(body) else body[:end]


def translate(glob: str, *, across: bool = False) -> str:
    """Return the regex of a glob. With ``across``, ``*`` matches slashes too."""
    out: list[str] = []
    at = 0
    one, many = (".", ".*") if across else ("[^/]", "[^/]*")
    while at < len(glob):
        char = glob[at]
        if char == "*":
            end = at
            while end < len(glob) and glob[end] == "*":
                end += 1
            alone = (at == 0 or glob[at - 1] == "/") and glob[end : end + 1] in ("", "/")
            if end - at > 1 and alone and not across:
                if glob[end : end + 1] == "/":
                    if out[-1:] != ["(?:.*/)?"]:  # a second one says nothing, and takes for ever
                        out.append("(?:.*/)?")
                    end += 1
                else:
                    out.append(".*")
            else:
                out.append(many)
            at = end
        elif char == "?":
            out.append(one)
            at += 1
        elif char == "[":
            part, at = _bracket(glob, at, across=across)
            out.append(part)
        elif char == "\\":
            out.append(re.escape(glob[at + 1]) if at + 1 < len(glob) else _NEVER)
            at += 2
        else:
            out.append(re.escape(char))
            at += 1
    return "".join(out)


def _bracket(glob: str, at: int, *, across: bool) -> tuple[str, int]:
    """Return the regex of the set that begins at ``at``, and where it ends; git's oddities too."""
    end = at + 1
    negated = glob[end : end + 1] in ("!", "^")
    end += negated
    parts: list[str] = []
    first = True
    while True:
        char = glob[end : end + 1]
        if not char:
            return _NEVER, len(glob)  # never closed: it matches nothing
        if char == "]" and not first:
            break
        first = False
        if char == "[" and glob[end + 1 : end + 2] == ":":
            stop = glob.find("]", end + 2)
            if stop > 0 and glob[stop - 1] == ":" and stop - 1 >= end + 2:
                name = glob[end + 2 : stop - 1]
                if name not in _CLASSES:
                    return _NEVER, len(glob)
                parts.append(_CLASSES[name])
                end = stop + 1
                continue
            if stop < 0:
                return _NEVER, len(glob)
        low, end = _literal(glob, end)
        if glob[end : end + 1] == "-" and glob[end + 1 : end + 2] not in ("", "]"):
            high, end = _literal(glob, end + 1)
            if low <= high:
                parts.append(f"{_in_set(low)}-{_in_set(high)}")
            else:
                # git looks at the first character before it sees the range.
                parts.append(_in_set(low))
        else:
            parts.append(_in_set(low))
    inside = "".join(parts)
    slash = "" if across else "(?!/)"
    return f"{slash}[{'^' if negated else ''}{inside}]", end + 1


def _literal(glob: str, at: int) -> tuple[str, int]:
    if glob[at] == "\\" and at + 1 < len(glob):
        return glob[at + 1], at + 2
    return glob[at], at + 1


def _in_set(char: str) -> str:
    return f"\\x{ord(char):02x}"
