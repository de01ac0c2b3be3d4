"""The agent of the head's own host: a child process, started again when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline_runner.head.hosts import survivors
from pipeline_runner.worker.process_identity import born

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ENTRY = (
    "import sys; sys.path[:] = filter(None, sys.path);"
    "import runpy; runpy.run_module('pipeline_runner.agent', run_name='__main__')"
)
_PATIENCE_S = 5.0


class SpareAgent:
    """An agent's process that imports what it needs before there is a head to tell it more.

    It ends by itself when it is dropped, or with the process that started it.
    """

    def __init__(self) -> None:
        """Start it. Raises OSError."""
        self._popen: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-c", _ENTRY],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def use(self, log: Path, arguments: list[str]) -> subprocess.Popen[bytes] | None:
        """Tell it what it is for, and give it away; None if there is none any more."""
        popen = self._popen
        if popen is None or popen.poll() is not None:
            self.drop()
            return None
        self._popen = None
        assert popen.stdin is not None
        with suppress(OSError), popen.stdin as told:  # who starts it sees that it has died
            told.write(json.dumps([os.fspath(log), *arguments]).encode() + b"\n")
        return popen

    def drop(self) -> None:
        """End it, unless it is in use."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.communicate()
            self._popen = None


class LocalAgent:
    """The child. It ends by itself when the head's socket closes."""

    def __init__(
        self,
        socket: Path,
        host: str,
        log: Path,
        store: Path,
        output: Path,
        spare: SpareAgent | None = None,
    ) -> None:
        self._spare = spare
        self._arguments = [os.fspath(socket), host, os.fspath(store), os.fspath(output)]
        self._log = log
        self._popen: subprocess.Popen[bytes] | None = None
        self._survivor: int | None = None

    def adopt(self, pid: int) -> None:
        """Take over the agent of an earlier head."""
        self._survivor = pid
        if self._spare is not None:
            self._spare.drop()

    @property
    def survivor_lives(self) -> bool:
        """Whether an adopted agent is alive."""
        return self._survivor is not None and bool(born(self._survivor))

    def start(self) -> None:
        """Start it, burying an older one. Raises OSError."""
        self.kill()
        if self._spare is not None:
            self._popen = self._spare.use(self._log, self._arguments)
            if self._popen is not None:
                return
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _ENTRY, *self._arguments],
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

    def kill(self) -> None:
        """End it and all its workers at once."""
        if self._survivor is not None:
            survivors.kill(self._survivor)
            self._survivor = None
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None

    def stop(self) -> None:
        """Wait until it has gone, for the socket is closed; kill it if it does not go."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.survivor_lives and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._popen is None:
            self.kill()
            return
        try:
            self._popen.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
