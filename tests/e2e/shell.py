"""A shell with job control on a terminal of its own, as a person sits at."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.kit import until

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTROLS = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]")
_PROMPT = "shell> "


class Shell:
    """``bash``, interactive, in ``folder``; ``shown`` is all that its terminal was sent."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.shown = ""
        self._mark = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            ours = {"PATH": path, "PS1": _PROMPT, "TERM": "xterm-256color", "NO_COLOR": "1"}
            # Its line editor has modes of its own, which would hide what we leave behind.
            os.execvpe(
                "bash",
                ["bash", "--norc", "--noediting", "-i"],
                {**os.environ, **environment, **ours},
            )
        self.resize(100, 30)
        self.sees(_PROMPT.strip())

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, size)

    def types(self, text: str) -> None:
        """Press these keys; what was shown before does not count for :meth:`sees` any more."""
        self._take()
        self._mark = len(self.shown)
        os.write(self._fd, text.encode())

    def sees(self, text: str) -> str:
        """Wait until the terminal shows ``text``; returns all since the last keys, bare."""
        until(lambda: text in self._since(), f"the terminal shows {text!r}")
        return self._since()

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, line by line, as a shell wants it."""
        local = termios.tcgetattr(self._fd)[3]
        return bool(local & termios.ECHO and local & termios.ICANON)

    def end(self) -> None:
        """Kill the shell, and with its terminal whatever still runs there."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)

    def _since(self) -> str:
        self._take()
        return _CONTROLS.sub("", self.shown[self._mark :]).replace("\r", "")

    def _take(self) -> None:
        while select.select([self._fd], (), (), 0)[0]:
            try:
                self.shown += os.read(self._fd, 65536).decode(errors="replace")
            except OSError:  # the last process that had it is gone
                return
