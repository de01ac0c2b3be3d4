"""The agent of the head's own host: a child process, started again when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ENTRY = (
    "import sys; sys.path[:] = filter(None, sys.path);"
    "import runpy; runpy.run_module('pipeline_runner.agent', run_name='__main__')"
)
_PATIENCE_S = 5.0


class LocalAgent:
    """The child. It ends by itself when the head's socket closes."""

    def __init__(self, socket: Path, host: str, log: Path) -> None:
        self._socket = socket
        self._host = host
        self._log = log
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, burying an older one. Raises OSError."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _ENTRY, os.fspath(self._socket), self._host],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def sweep(self, pids: Iterable[int]) -> None:
        """Kill what the workers of a dead agent had started: each led a process group.

        The kernel ends a worker with its agent, but knows nothing of a worker's own children.
        """
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Wait until it has gone, for the socket is closed; kill it if it does not go."""
        if self._popen is None:
            return
        try:
            self._popen.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
