"""A place to write to that may vanish while the run goes on, and may not know every character."""

from __future__ import annotations

import codecs
from typing import IO

SHOWN = "pipeline_runner.shown"  # for `errors` of an encoding
_PLAIN = str.maketrans("└├─│▶█░…→∞µ·", "`+-|>#.~>8u.")  # width for width


def _show(fault: UnicodeError) -> tuple[str, int]:
    """Show what an encoding lacks: what screens are drawn with in ASCII, all else escaped."""
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    text = fault.object[fault.start : fault.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode(), fault.end


codecs.register_error(SHOWN, _show)


class Stream:
    """Writes text, flushed. Once the reader has gone, every write does nothing.

    A run that lasts for days must not end because the terminal it was started from was closed.
    """

    def __init__(self, file: IO[str] | None) -> None:
        self._file = file
        self._gone = file is None  # what Python has for a closed descriptor
        encoding = getattr(file, "encoding", None) or "utf-8"
        self._narrow = "" if encoding.lower().replace("-", "") == "utf8" else encoding

    def write(self, text: str, *, exact: bool = False) -> None:
        """Write ``text``. What the encoding lacks is shown by other characters, or escaped.

        With ``exact`` all of it is escaped: it is somebody's data, and nothing is lost.
        """
        if self._gone or self._file is None or not text:
            return
        errors = "backslashreplace" if exact else SHOWN
        try:
            if self._narrow:
                text = _shown(text, self._narrow, errors)
            try:
                self._file.write(text)
            except UnicodeEncodeError as fault:
                self._file.write(_shown(text, fault.encoding, errors))
            self._file.flush()
        except (OSError, ValueError):
            # ValueError is what Python raises for a file that was closed under us.
            self._gone = True


def _shown(text: str, encoding: str, errors: str) -> str:
    return text.encode(encoding, errors).decode(encoding)
