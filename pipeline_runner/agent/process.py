"""One worker process as its agent sees it: how it is started, and how it died."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner.agent.line_reader import LineReader
from pipeline_runner.agent.orphans import MARK
from pipeline_runner.worker import nested_runs
from pipeline_runner.worker.loops.limits import resident_size
from pipeline_runner.worker.page import READY, Page
from pipeline_runner.worker.process_identity import life

if TYPE_CHECKING:
    from pipeline_runner.plan.reconcile import Slot
    from pipeline_runner.wire.endpoint import Endpoint

# Python 3.10 does not know PYTHONSAFEPATH: a project's queue.py must not shadow the library's.
_ENTRY = (
    "import sys; sys.path[:] = filter(None, sys.path);"
    "import runpy; runpy.run_module('pipeline_runner.worker', run_name='__main__')"
)
_NO_MODULE = 69
ORDERLY = frozenset({0, 64, 65})
_EXITS = {
    0: "drained",
    64: "finished",
    65: "recycled",
    66: "the head is gone",
    68: "died: stage code closed its worker's own descriptors (os.closerange?): close only what"
    " it has opened",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where workers run: their head's door, the release's folder, and the one they write to."""

    door: Endpoint
    root: Path
    output: Path


@dataclass(slots=True)
class Process:
    """A worker. ``since`` is when ``phase`` began, monotonic seconds."""

    id: str
    slot: Slot
    spec: str
    popen: subprocess.Popen[bytes]
    page: Page
    timeout_s: float | None
    max_memory: int | None
    started: float
    phase: str = "running"
    since: float = 0.0
    readers: list[LineReader] = field(default_factory=list)
    last_words: str = ""
    killed_for: str = ""  # why we killed it, if we did
    is_unwanted: bool = False  # we killed it because it was to stop: what it ran is not to blame
    overdue_index: int = -1
    closing_since: float | None = None
    overstayed: bool = False  # it was killed because it did not end after its work

    @property
    def pid(self) -> int:
        """The process id, also of its process group."""
        return self.popen.pid

    @property
    def was_ready(self) -> bool:
        """Whether it got as far as taking work."""
        return self.page.read()[3] == READY

    def overdue(self, now: float) -> bool:
        """Whether its item runs longer than allowed; the item is then in ``overdue_index``."""
        if self.timeout_s is None:
            return False
        _token, index, item_started, _phase = self.page.read()
        if not item_started or now - item_started <= self.timeout_s:
            return False
        self.overdue_index = index
        self.killed_for = f"timeout: the item ran longer than {self.timeout_s:g} s"
        return True

    def bloated(self) -> bool:
        """Whether one item took far more memory than allowed: it cannot be waited for."""
        if self.max_memory is None:
            return False
        size = resident_size(Path(f"/proc/{self.pid}/statm"))
        if size <= self.max_memory * 1.25:
            return False
        self.killed_for = f"memory: {size // 2**20} MiB, over max_memory"
        return True

    def overstays(self, now: float, grace_s: float) -> bool:
        """Whether its work is over and it has not ended within the grace since."""
        if not self.page.is_closing:
            return False
        if self.closing_since is None:
            self.closing_since = now
        if now - self.closing_since < grace_s:
            return False
        self.overstayed = True
        self.killed_for = (
            "died: its close(), or what it registered for its exit,"
            f" ran longer than the grace of {grace_s:g} s"
        )
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it is still there."""
        if self.popen.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process and everything it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def stop(self, why: str) -> None:
        """Kill it because it is wanted no more; does nothing to one that has ended by itself."""
        if self.popen.poll() is None and not self.killed_for:
            self.is_unwanted, self.killed_for = True, f"stopped: {why}"
        self.kill()

    def blamed(self, running: int) -> int:
        """Return what its death is charged to: what its page said was ``running``, or 0."""
        code = self.popen.returncode
        told_to_go = self.phase == "draining" and code == -signal.SIGTERM
        return 0 if told_to_go or (self.is_unwanted and code == -signal.SIGKILL) else running

    @property
    def lacks(self) -> str:
        """The module that it could not start for want of, on this host; empty if all was there."""
        is_it = self.popen.returncode == _NO_MODULE and not self.was_ready
        return self.page.lacked() if is_it else ""

    def cause(self) -> str:
        """Return how it died, in words; call it once it is reaped."""
        code = self.popen.returncode
        if self.killed_for and not (self.is_unwanted and code != -signal.SIGKILL):
            return self.killed_for
        if lacks := self.lacks:
            return f"there is no module {lacks} here"
        if code < 0:
            return f"died: killed by {signal.Signals(-code).name}"
        if code in ORDERLY and not self.page.is_closing:  # user code's own os._exit
            return f"died: exit code {code}"
        return _EXITS.get(code, f"died: exit code {code}")

    @property
    def was_orderly(self) -> bool:
        """Whether it ended as it should, once it is reaped: nobody but us said how."""
        return self.popen.returncode in ORDERLY and self.page.is_closing


def start(
    slot: Slot,
    fingerprint: str,
    spec: dict[str, Any],
    host: str,
    place: Place,
    now: float,
    *,
    hold_s: float | None = None,
) -> Process:
    """Start a worker for ``slot``. Raises OSError if the system has no process to spare.

    With ``hold_s``, on a host that joined, it holds its results so long when the head is gone,
    whatever its spec says.
    """
    worker = f"{host}/{slot.stage}[{slot.index}]/{secrets.token_hex(6)}"
    job = {
        **spec["job"],
        "worker": worker,
        "index": slot.index,
        "host": host,
        "door": place.door.as_json(),
        "root": os.fspath(place.root),
        "output": os.fspath(place.output),
        "parent": os.getpid(),
    }
    if hold_s is not None:
        job["hold_s"], job["joined"] = hold_s, True
    page = Page.create(job)
    environment = {name: value for name, value in os.environ.items() if name != "RUNNER_KEY"}
    environment |= nested_runs.environment(job["pipeline"]) | spec["env"]
    environment["PYTHONSAFEPATH"] = "1"
    environment[MARK] = life(os.getpid())
    environment["RUNNER_OUTPUT"] = job["output"]
    try:
        popen = subprocess.Popen(
            [sys.executable, "-c", _ENTRY, str(page.fd)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=job["root"],
            env=environment,
            pass_fds=(page.fd,),
            start_new_session=True,  # Ctrl-C at a terminal is the head's to interpret
        )
    except OSError:
        page.close()
        raise
    assert popen.stdout is not None
    assert popen.stderr is not None
    process = Process(
        worker,
        slot,
        fingerprint,
        popen,
        page,
        job["timeout_s"],
        job["max_memory"],
        started=now,
        since=now,
    )
    process.readers = [LineReader(popen.stdout.fileno()), LineReader(popen.stderr.fileno())]
    return process
