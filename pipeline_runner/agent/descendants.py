"""What workers had started, in whatever session or process group: the agent is its ancestor.

The kernel gives an orphan to its nearest ancestor that asked for them. So what a worker started
stays below the agent when the worker is dead: it can be found there, and is reaped there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_PR_SET_CHILD_SUBREAPER = 36
_MOST_ROUNDS = 100  # while what is killed has just started more


def adopt_orphans() -> None:
    """Have this process be given the orphans among its descendants, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(own: Collection[int]) -> None:
    """Reap dead children but for ``own``, which somebody else waits for."""
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is None or dead.si_pid in own:  # what is behind it comes with the next SIGCHLD
            return
        with suppress(ChildProcessError):
            os.waitpid(dead.si_pid, os.WNOHANG)


def end_descendants() -> None:
    """Kill every process below this one."""
    for _ in range(_MOST_ROUNDS):
        found = _descendants(os.getpid())
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _descendants(ancestor: int) -> list[int]:
    """Return the living processes below ``ancestor``; none where the system has no /proc."""
    children: dict[int, list[int]] = {}
    dead: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended
            continue
        pid = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        if fields[0] in "ZX":
            dead.add(pid)
    found = list(children.get(ancestor, ()))
    for pid in found:  # it grows meanwhile
        found += children.get(pid, ())
    return [pid for pid in found if pid not in dead]
