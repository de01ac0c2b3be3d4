"""Whole lines out of what a worker writes to a pipe."""

from __future__ import annotations

import os

MOST_LINE = 64 * 1024  # bytes; a longer line is cut in pieces rather than kept in memory


class LineReader:
    """Reads a non-blocking descriptor and splits what comes into lines."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._rest = b""
        os.set_blocking(fd, False)

    def read(self) -> list[str] | None:
        """Return the lines that came, without their ends; None at the end of the stream."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        if not data:
            return None
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        while len(self._rest) > MOST_LINE:
            lines.append(self._rest[:MOST_LINE])
            self._rest = self._rest[MOST_LINE:]
        return [_text(line) for line in lines]

    def rest(self) -> list[str]:
        """Return the last line, which never ended."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")
