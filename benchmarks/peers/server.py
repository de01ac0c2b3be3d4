"""A peer's own server: started for its runs on a loopback port, ended by its process group."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import TrialError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

READY_S = 60.0
STOP_S = 15.0


def program(name: str, *more_folders: str) -> str | None:
    """Return the path of a program installed beside this interpreter or on the machine."""
    folders = (str(Path(sys.executable).parent), *more_folders, os.environ.get("PATH", os.defpath))
    return shutil.which(name, path=os.pathsep.join(folders))


def free_ports(count: int) -> list[int]:
    """Return ``count`` different TCP ports of 127.0.0.1 that nobody listens on just now."""
    # All are held until all are known, or one port could be given twice.
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def listens(port: int) -> bool:
    """Say whether somebody accepts connections at ``port`` of 127.0.0.1."""
    with socket.socket() as knock:
        knock.settimeout(1.0)
        return knock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(
    command: Sequence[str],
    folder: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run ``command`` in ``folder`` from when ``ready()`` is true to the end of the block.

    What it prints goes to a file in ``folder``. Raises TrialError, with the end of that file, if
    it ends before it is ready or is not ready within ``READY_S`` seconds.
    """
    said = folder / f"{Path(command[0]).name}.log"
    with said.open("ab") as log:
        process = subprocess.Popen(
            [program(command[0]) or command[0], *command[1:]],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await(process, ready, said)
        yield
    finally:
        _end(process)


def _await(process: subprocess.Popen[bytes], ready: Callable[[], bool], said: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            last = said.read_text(errors="replace")[-1_000:]
            raise TrialError(f"{said.stem} did not start:\n{last}")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and whatever it started in its process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
