"""Which hosts are here, as decisions: who comes, who returns, who drains, who is lost.

A host is lost after ten seconds in which neither its agent nor any of its workers was heard. A
connection that breaks is no sign of anything: a network's hiccup breaks one, and the host goes on.
The head's own host is the exception: its agent is a child, and its end is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SILENT_S = 10.0
STALLED_S = 2.0  # between two looks: it was the head that was not there

Coming = Literal["joins", "returns", "replaces"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """How an agent came, and the ``name`` its host has from now on.

    One that "returns" finds everything as it was. One that "replaces" stands where another agent
    stood that is dead, and that one's workers with it. Any other "joins"; ``beside`` is then the
    host that another living agent of the same machine has already, if there is one.
    """

    name: str
    coming: Coming
    beside: str = ""


@dataclass(slots=True)
class Known:
    """One host. ``agent`` names the life of its agent, ``machine`` the machine it runs on.

    ``heard`` is monotonic seconds; ``local`` is the head's own.
    """

    agent: str
    machine: str
    heard: float
    local: bool = False
    connected: bool = True
    draining: bool = False


class Membership:
    """The hosts of a run, by name."""

    def __init__(self, now: float) -> None:
        self._hosts: dict[str, Known] = {}
        self._leaving: set[str] = set()  # agents that are to go, wherever they come back from
        self._looked = now

    def __contains__(self, name: str) -> bool:
        return name in self._hosts

    def __getitem__(self, name: str) -> Known:
        return self._hosts[name]

    def get(self, name: str) -> Known | None:
        """Return the host of this name, if there is one."""
        return self._hosts.get(name)

    def expect(self, name: str, agent: str, machine: str, now: float, *, local: bool) -> None:
        """Wait for a host that an earlier head knew, as for one that was heard just now."""
        self._hosts[name] = Known(agent, machine, now, local=local, connected=False)

    def arrive(
        self, wanted: str, agent: str, machine: str, now: float, *, local: bool = False
    ) -> Arrival:
        """Take in an agent that would have its host named ``wanted``.

        Where another host has that name, it gets a number: "pi-2", "pi-3".
        """
        for name, host in self._hosts.items():
            if agent and host.agent == agent:
                host.heard, host.connected = now, True
                return Arrival(name, "returns")
        name = wanted if local else self._free(wanted, machine)
        coming: Coming = "replaces" if name in self._hosts else "joins"
        first = self._hosts.get(wanted)
        is_second = name != wanted and first is not None and first.machine == machine != ""
        leaving = agent in self._leaving
        self._hosts[name] = Known(agent, machine, now, local=local, draining=leaving)
        return Arrival(name, coming, wanted if is_second else "")

    def hear(self, name: str, at: float) -> None:
        """Record that a frame came from a host at ``at``, which may be some time ago."""
        host = self._hosts.get(name)
        if host is not None:
            host.heard = max(host.heard, at)

    def cut(self, name: str, *, idle: bool = False) -> bool:
        """The connection of a host's agent has ended; return whether that was the host's end.

        It was if its agent was a child of ours, or was to go and had no worker left: ``idle``. Any
        other has its time to return.
        """
        host = self._hosts.get(name)
        if host is None:
            return False
        host.connected = False
        if host.local or (host.draining and idle):
            del self._hosts[name]
            return True
        return False

    def drain(self, name: str) -> bool:
        """Give a host nothing more to do; return whether that is news. KeyError if none is here."""
        host = self._hosts[name]
        news, host.draining = not host.draining, True
        self._leaving.add(host.agent)
        return news

    def leave(self, name: str) -> None:
        """Forget a host; does nothing where there is none."""
        self._hosts.pop(name, None)

    def silent(self, now: float) -> tuple[str, ...]:
        """Return the hosts whose agents were not heard for ``SILENT_S`` seconds, by name.

        A head that was stopped itself could hear nobody: that time does not count.
        """
        stalled = now - self._looked
        self._looked = now
        if stalled > STALLED_S:
            for host in self._hosts.values():
                host.heard += stalled
        return tuple(
            name
            for name, host in sorted(self._hosts.items())
            if now - host.heard >= SILENT_S and not (host.local and host.connected)
        )

    def _free(self, wanted: str, machine: str) -> str:
        number, name = 1, wanted
        while name in self._hosts:
            host = self._hosts[name]
            # A second agent beside the first would have been told so by its name; a first one
            # that is gone from the same machine is what somebody just started again.
            if machine and host.machine == machine and not host.connected and not host.local:
                return name
            number += 1
            name = f"{wanted}-{number}"
        return name
