"""Hosts that outlived their head, and what has to be heard before anything is granted again.

Their workers still hold what the last head gave them. Until each has named it, the same items must
not go to anybody else.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.worker.process_identity import born

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_NAME = "agent.json"
_HOSTS = "hosts.json"


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What an earlier head left running.

    ``agent`` is the pid of its own agent, if that lives. ``hosts`` are the facts and slots of
    every host, as they were noted; ``awaited`` says of those that may live which agent they had.
    """

    agent: int | None = None
    hosts: Mapping[str, Any] = field(default_factory=dict)
    awaited: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @staticmethod
    def of(found: Mapping[str, Any], agent: int | None, *, here: str, works: bool) -> LeftBehind:
        """Make sense of a note, or of none: a note that makes no sense is no note.

        A host of our own is remembered with ``works``, and awaited if its ``agent`` lives.
        """
        own = {here: {"agent": "", "machine": "", "local": True}} if agent is not None else {}
        try:
            noted = {
                name: {
                    "agent": str(k["agent"]),
                    "machine": str(k["machine"]),
                    "local": bool(k["local"]),
                }
                for name, k in found["known"].items()
            }
            facts = {
                name: found["hosts"][name]
                for name, known in noted.items()
                if works or not known["local"]
            }
            slots = {name: found["slots"].get(name, {}) for name in facts}
        except (KeyError, TypeError, AttributeError):
            return LeftBehind(agent, {"hosts": {}, "slots": {}}, own)
        awaited = {
            name: known for name, known in noted.items() if not known["local"] or agent is not None
        }
        if not any(known["local"] for known in noted.values()):
            awaited |= own
        return LeftBehind(agent, {"hosts": facts, "slots": slots}, awaited)


class Survivors:
    """The hosts and the workers that are waited for; nobody is, unless there are ``hosts``."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = set(hosts)
        self._workers: set[str] = set()
        self._done: set[str] = set()

    @property
    def hosts_heard(self) -> bool:
        """Whether every host is here again, or given up."""
        return not self._hosts

    @property
    def all_heard(self) -> bool:
        """Whether nobody is waited for any more."""
        return not self._hosts and not self._workers

    def host_joined(self, host: str, workers: tuple[str, ...]) -> None:
        """A host's agent is here; these workers of an earlier head are alive."""
        if host in self._hosts:
            self._hosts.discard(host)
            self._workers.update(set(workers) - self._done)

    def worker_done(self, worker: str) -> None:
        """A worker has adopted what it holds, or holds nothing any more."""
        self._done.add(worker)
        self._workers.discard(worker)

    def give_up(self, host: str) -> None:
        """Wait for this host no longer."""
        self._hosts.discard(host)


def remember(state: Path, pid: int) -> None:
    """Note which process is the agent. Raises OSError."""
    _write(state / _NAME, {"pid": pid, "born": born(pid)})


def recall(state: Path) -> int | None:
    """Return the pid of the agent of an earlier head, if that very process still lives."""
    try:
        facts = json.loads((state / _NAME).read_text())
        pid, since = int(facts["pid"]), str(facts["born"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if since and born(pid) == since else None


def remember_hosts(state: Path, facts: dict[str, Any]) -> None:
    """Note which hosts are here and what each runs. Raises OSError."""
    _write(state / _HOSTS, facts)


def recall_hosts(state: Path) -> dict[str, Any]:
    """Return what an earlier head noted of its hosts; empty if it left nothing."""
    try:
        facts = json.loads((state / _HOSTS).read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def forget_hosts(state: Path) -> None:
    """Leave no host to wait for."""
    (state / _HOSTS).unlink(missing_ok=True)


def kill(pid: int) -> None:
    """Kill an agent; its workers end with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _write(path: Path, facts: dict[str, Any]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(facts))
    part.replace(path)
