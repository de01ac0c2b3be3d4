"""A place to write to that may vanish while the run goes on."""

from __future__ import annotations

from typing import IO


class Stream:
    """Writes text, flushed. Once the reader has gone, every write does nothing.

    A run that lasts for days must not end because the terminal it was started from was closed.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> None:
        """Write ``text``; characters the encoding lacks become ``?``."""
        if self._gone or not text:
            return
        try:
            try:
                self._file.write(text)
            except UnicodeEncodeError as fault:
                self._file.write(text.encode(fault.encoding, "replace").decode(fault.encoding))
            self._file.flush()
        except (OSError, ValueError):
            # ValueError is what Python raises for a file that was closed under us.
            self._gone = True
