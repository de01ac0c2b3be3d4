"""Text from user code, made safe to send and to show: what is no text any more is escaped."""

from __future__ import annotations

import re

# Control characters but tab and newline, lone surrogates, and what turns the order of a line
# around: none of them belongs on a terminal, and a surrogate cannot even be encoded.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    r"""Return ``text`` with each unsafe character as Python would write it, such as ``\x1b``.

    A carriage return before a newline goes; tabs and newlines stay.
    """
    if text.isascii() and text.isprintable():  # nearly always, for one line
        return text
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def encodable(text: str) -> str:
    r"""Return ``text`` with lone surrogates, and nothing else, escaped: ``\ud800``."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
