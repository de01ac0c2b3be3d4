"""Where a head can be found: its lock, its socket and its ``head.json``."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner import __version__
from pipeline_runner.errors import AlreadyRunning, NoHead, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKETS = ("head.sock", "queues.sock")  # ours, and that of stock managers, in one folder
_LOCK = "lock"
_LONGEST_SOCKET_PATH = 107  # bytes; the kernel's sockaddr_un has no room for more


class Address:
    """A head's claim to a state folder, for as long as it lives."""

    def __init__(self, state: Path, name: str) -> None:
        self._state = state
        self._name = name
        self._lock: int | None = None
        self._elsewhere: Path | None = None
        self.socket = state / SOCKETS[0]

    def take(self) -> None:
        """Lock the state folder, making it if need be, and choose where to listen.

        Raises AlreadyRunning if a head has it, UsageError if it cannot be made.
        """
        self.lock()
        if max(len(os.fsencode(self._state / name)) for name in SOCKETS) > _LONGEST_SOCKET_PATH:
            # A killed head's, if there is one: the agent that outlived it looks there.
            self._elsewhere = self._left_behind() or Path(tempfile.mkdtemp(prefix="runner-"))
            self.socket = self._elsewhere / SOCKETS[0]
        self.socket.unlink(missing_ok=True)  # a killed head's: we hold the lock

    def lock(self) -> None:
        """Only lock it; raises like :meth:`take`."""
        try:
            for folder in (self._state.parent, self._state):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(
                f"cannot use {self._state}: {error.strerror}",
                hint="`state` in [server] names another folder",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            self._lock = None
            raise self._taken() from error

    def unlock(self) -> None:
        """Let others have the folder; does nothing where it is not locked."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _left_behind(self) -> Path | None:
        try:
            folder = Path(find(self._state)["socket"]).parent
            found = folder.lstat()
        except (NoHead, OSError):
            return None
        is_ours = found.st_uid == os.getuid() and found.st_mode == 0o040700
        return folder if is_ours and folder != self._state else None

    def is_lost(self) -> bool:
        """Whether the state folder is not there any more: deleted, moved, or replaced."""
        if self._lock is None:
            return False
        try:
            found = (self._state / _LOCK).stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # that is another fault
            return False
        ours = os.fstat(self._lock)
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)

    def announce(self) -> None:
        """Write ``head.json`` in one step: whoever finds it can connect."""
        facts = {
            "pid": os.getpid(),
            "name": self._name,
            "socket": str(self.socket),
            "version": __version__,
            "started": time.time(),
        }
        part = self._state / "head.json.part"
        part.write_text(json.dumps(facts) + "\n")
        part.replace(self._state / "head.json")

    def leave(self) -> None:
        """Take everything back; does nothing where nothing was taken."""
        if self._lock is None:
            return
        if not self.is_lost():  # else another head may be there by now
            (self._state / "head.json").unlink(missing_ok=True)
            self.socket.unlink(missing_ok=True)
        if self._elsewhere is not None:
            shutil.rmtree(self._elsewhere, ignore_errors=True)
        self.unlock()

    def _taken(self) -> AlreadyRunning:
        try:
            pid = f"by pid {find(self._state)['pid']}"
        except NoHead:
            pid = "by a head that is just starting"
        return AlreadyRunning(
            f"{self._name} runs already, {pid}",
            hint="look at it with `runner ps`, stop it with `runner down`",
        )


@contextmanager
def held(state: Path, name: str) -> Iterator[None]:
    """Keep heads out of a state folder for a moment. Raises AlreadyRunning if one has it."""
    address = Address(state, name)
    address.lock()
    try:
        yield
    finally:
        address.unlock()


def find(state: Path) -> dict[str, Any]:
    """Return what a head wrote of itself in ``state``. Raises NoHead if there is none."""
    facts: Any = None
    with suppress(OSError, ValueError):
        facts = json.loads((state / "head.json").read_text())
    if not isinstance(facts, dict) or not isinstance(facts.get("socket"), str):
        raise NoHead("no head runs this pipeline here", hint="start it: runner up")
    return facts
