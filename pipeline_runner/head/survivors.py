"""An agent that outlived its head, and what has to be heard before anything is granted again.

Its workers still hold what the last head gave them. Until each has named it, the same items must
not go to anybody else.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

_NAME = "agent.json"


class Survivors:
    """The agent and the workers that are waited for; nobody is, unless ``agent_lives``."""

    def __init__(self, *, agent_lives: bool) -> None:
        self._agent_awaited = agent_lives
        self._workers: set[str] = set()
        self._done: set[str] = set()

    @property
    def agent_awaited(self) -> bool:
        """Whether the agent has not been heard of yet."""
        return self._agent_awaited

    @property
    def all_heard(self) -> bool:
        """Whether nobody is waited for any more."""
        return not self._agent_awaited and not self._workers

    def agent_joined(self, workers: tuple[str, ...]) -> None:
        """The agent is here; these workers of an earlier head are alive."""
        if self._agent_awaited:
            self._agent_awaited = False
            self._workers = set(workers) - self._done

    def worker_done(self, worker: str) -> None:
        """A worker has adopted what it holds, or holds nothing any more."""
        self._done.add(worker)
        self._workers.discard(worker)

    def give_up(self) -> None:
        """Wait for nobody."""
        self._agent_awaited = False
        self._workers.clear()


def remember(state: Path, pid: int) -> None:
    """Note which process is the agent. Raises OSError."""
    part = state / f"{_NAME}.part"
    part.write_text(json.dumps({"pid": pid, "born": born(pid)}))
    part.replace(state / _NAME)


def recall(state: Path) -> int | None:
    """Return the pid of the agent of an earlier head, if that very process still lives."""
    try:
        facts = json.loads((state / _NAME).read_text())
        pid, since = int(facts["pid"]), str(facts["born"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if since and born(pid) == since else None


def born(pid: int) -> str:
    """Return when a living process began, in a form to compare; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def kill(pid: int) -> None:
    """Kill an agent; its workers end with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
