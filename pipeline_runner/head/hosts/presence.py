"""Who is here: agents that come, report and go, and those a new head waits for."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline_runner.cluster.membership import SILENT_S, Membership
from pipeline_runner.errors import UsageError
from pipeline_runner.head.hosts import survivors
from pipeline_runner.head.hosts.readoption import Readoption
from pipeline_runner.head.hosts.roster import host_of
from pipeline_runner.wire.control_messages import Dismiss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.cluster.membership import Arrival
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.hosts.local_agent import LocalAgent
    from pipeline_runner.head.hosts.roster import Hosts
    from pipeline_runner.head.hosts.survivors import LeftBehind
    from pipeline_runner.head.lifecycle import Lifecycle
    from pipeline_runner.head.view.announcer import Announcer
    from pipeline_runner.plan.hosts import Host
    from pipeline_runner.queues.server.server import QueueServer
    from pipeline_runner.wire.messages import Hello, Message
    from pipeline_runner.wire.server.connection import Connection

_ON_THEIR_WAY = ("the project's files are on their way to it",)
_NO_FILES = ("this pipeline was made in code, and runs only where that does",)
_QUIET_S = 3.0  # of an agent: from then on its workers are listened for


class HostEvents:
    """Keeps ``hosts`` true to who is here.

    After a restart nothing is granted before the workers of every known host have named what they
    hold, and nothing moves; a host that does not come back is given up like any silent one.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        server: QueueServer,
        hosts: Hosts,
        course: Lifecycle,
        agent: LocalAgent,
        teller: Announcer,
        left: LeftBehind,
        *,
        works: bool,
        remembers: bool,
        local: bool,
    ) -> None:
        self._state = pipeline.state_dir
        self._sources = pipeline.sources
        self._remembers = remembers
        self._local = local  # no other host can join
        self._server = server
        self._hosts = hosts
        self._lifecycle = course
        self._agent = agent
        self._announcer = teller
        self._works = works
        self._loop = asyncio.get_running_loop()
        # Our own host may have had another name when its agent began.
        own = (name for name, known in left.awaited.items() if known["local"])
        self._own = next(own, socket.gethostname())
        self._survivor = left.agent
        self._membership = Membership(self._loop.time())
        self._readoption = Readoption(server, hosts, self._membership, left, works=works)
        self._said: set[str] = set()  # warnings

    def open(self) -> None:
        """Have an agent of our own: the one that outlived an earlier head, or a new one."""
        if self._survivor is not None:
            self._agent.adopt(self._survivor)
        elif self._works:
            self._agent.start()

    def joined(self, connection: Connection, hello: Hello) -> None:
        """An agent is here: plan with its host, and tell it what to run."""
        facts, now = dict(hello.facts), self._loop.time()
        agent, machine = str(facts.pop("agent", "")), str(facts.pop("machine", ""))
        is_local = bool(facts.pop("local", False)) and not connection.remote
        host = host_of(facts | {"name": hello.host, "head": is_local, "lacks": {}})
        arrival = self._membership.arrive(host.name, agent, machine, now, local=is_local)
        host = replace(host, name=arrival.name)
        connection.peer = arrival.name
        if is_local:
            if arrival.coming != "returns" and hello.pid != self._survivor:
                # Workers of an agent before it ended with that, and nobody is left to tell.
                self._server.lost(arrival.name)
            with suppress(OSError):
                survivors.remember(self._state, hello.pid)
        self._readoption.joined(arrival.name, hello.workers, own=is_local)
        self._lifecycle.recall_ends(hello.finished)
        self._take_in(connection, host, arrival, now)
        self._readoption.go_on()
        self._warn_of_plan()
        self._lifecycle.publish()
        self._remember()

    def heard(self, connection: Connection) -> bool:
        """Record a sign of life; False if it comes from an agent that is no member any more."""
        member = self._hosts.members.get(connection.peer)
        if member is None or member.connection is not connection:
            return False
        self._membership.hear(connection.peer, self._loop.time())
        return True

    def left(self, connection: Connection) -> None:
        """An agent's connection has ended; that of our own agent ends with its life."""
        name = connection.peer
        member = self._hosts.members.get(name)
        if member is None or member.connection is not connection or self._lifecycle.left.is_set():
            return
        is_local = member.host.head
        if not self._membership.cut(name, idle=not member.report.workers):
            self._hosts.away(name)
            self._lifecycle.name_releases()
            return
        if is_local:
            self._agent.sweep(member.report.workers)
        self._hosts.leave(name)
        self._server.lost(name)
        if not is_local:
            self._announcer.say(f"{name} has left")
        elif not self._lifecycle.is_ending:
            self._announcer.warn(f"the agent of {name} died; its workers start again")
            if self._works:
                self._agent.start()
        self._replanned()

    def ready(
        self, name: str, release: str, problems: tuple[str, ...], notes: tuple[str, ...]
    ) -> None:
        """A host has the files of ``release``, and can work unless it has ``problems``."""
        member = self._hosts.members[name]
        member.report.release = release
        for problem in problems:
            if problem not in member.unfit:
                self._announcer.warn(f"{name} gets no work: {problem}")
        for note in notes:
            self._announcer.say(f"{name}: {note}")
        if (member.syncing or member.unfit != problems) and not member.draining:
            self._hosts.judge(name, problems)
            self._replanned()

    def lacks(self, name: str, reasons: Mapping[str, str]) -> None:
        """A host cannot run these stages, each for its reason."""
        self._hosts.lacks(name, reasons)
        self._replanned()

    def drain(self, name: str) -> None:
        """Have a host finish what it holds, and take nothing more. Raises UsageError."""
        if name not in self._membership:
            known = ", ".join(self._hosts.members)
            raise UsageError(f"there is no host {name}", hint=f"hosts: {known or 'none yet'}")
        if self._membership.drain(name):
            self._hosts.drain(name)
            self._replanned()

    def worker_done(self, worker: str) -> None:
        """A worker of an earlier head has named what it holds, or holds nothing any more."""
        self._readoption.worker_done(worker)

    def look(self, now: float) -> None:
        """Give up who was silent for too long, and let go of who has nothing left to do."""
        for name, member in tuple(self._hosts.members.items()):
            if name not in self._membership:
                continue
            known = self._membership[name]
            if now - known.heard > _QUIET_S and not known.local:
                self._membership.hear(name, self._server.heard(name))
            is_empty = not member.report.workers and not member.host.head
            if known.draining and is_empty and member.connection is not None:
                self._server.send(member.connection, Dismiss("drained"))
        if self._survivor is not None and self._awaits_survivor(now):
            self._replace_survivor()
        for name in self._membership.silent(now):
            if not self._membership[name].local:
                self._lose(name)

    def tell(self, message: Message) -> int:
        """Send a message to every joined host that is there, and return how many those are."""
        joined = [
            member.connection
            for member in self._hosts.members.values()
            if member.connection is not None and not member.host.head
        ]
        for connection in joined:
            self._server.send(connection, message)
        return len(joined)

    def dismiss(self, why: str) -> None:
        """Tell the joined hosts that there is nothing more to do."""
        self.tell(Dismiss(why))
        survivors.forget_hosts(self._state)

    def _take_in(self, connection: Connection, host: Host, arrival: Arrival, now: float) -> None:
        if arrival.coming == "returns" and host.name in self._hosts.members:
            older = self._hosts.back(connection, host)
            if older is not None:
                older.close()
            return
        if arrival.coming == "replaces" and not host.head:
            self._server.lost(host.name)
        if not host.head:
            cores = "1 core" if host.cores == 1 else f"{host.cores} cores"
            again = " again" if arrival.coming == "replaces" else ""
            joins = f"{host.name} joins{again}, with {cores}"
            if arrival.beside:
                text = f"{joins} that {arrival.beside} has already: both are on one machine"
                self._announcer.warn(text, "one `runner join` is enough: end the other")
            else:
                self._announcer.say(joins)
        self._hosts.join(connection, host, now, unfit=() if host.head else self._not_yet())
        if self._membership[host.name].draining:
            self._hosts.drain(host.name)

    def _not_yet(self) -> tuple[str, ...]:
        release = self._lifecycle.release
        return _NO_FILES if release is not None and not release.name else _ON_THEIR_WAY

    def _awaits_survivor(self, now: float) -> bool:
        """Whether our own agent of an earlier head is gone, or does not come."""
        known = self._membership.get(self._own)
        if known is None or known.connected:
            self._survivor = None
            return False
        return not self._agent.survivor_lives or now - known.heard >= SILENT_S

    def _replace_survivor(self) -> None:
        self._survivor = None
        self._readoption.give_up(self._own)
        self._agent.start()

    def _lose(self, name: str) -> None:
        member = self._hosts.members.get(name)
        text = f"{name} was not heard for {SILENT_S:g} s: what it held goes to others"
        self._announcer.warn(text, "it may come back at any time")
        self._membership.leave(name)
        self._hosts.leave(name)
        self._server.lost(name, dead=False)
        if member is not None and member.connection is not None:
            member.connection.close()
        self._readoption.give_up(name)
        self._replanned()

    def _replanned(self) -> None:
        if not self._lifecycle.is_ending:
            self._warn_of_plan()
        self._lifecycle.publish()
        self._remember()

    def _warn_of_plan(self) -> None:
        """Say what the plan cannot do, once."""
        plan = self._hosts.plan
        if plan is None or self._hosts.frozen or not self._hosts.members:
            return  # without any host there is nothing to say of the plan, but that
        # Who runs more workers than cores mostly means to: `plan` says it, and each run need not.
        found = {text: "" for text in plan.warnings if text not in plan.crowded}
        for stage, count in plan.pending.items():
            text = f"{stage}: no host may run it"
            if found.pop(text, None) is None:  # which says it better than a number
                text = f"{stage}: {count} worker{'s' * (count > 1)} cannot be placed"
            elif self._local:
                text += ", and none can join a local run"
            if stage in self._sources:
                text += f", and the run waits for {'their' if count > 1 else 'its'} share"
            found[text] = f"runner why {stage}"
        for text, hint in found.items():
            if text not in self._said:
                self._announcer.warn(text, hint)
        self._said = set(found)

    def _remember(self) -> None:
        """Keep who is here, for a head that comes after us unasked."""
        if not self._remembers or self._lifecycle.is_ending:
            return
        facts = self._hosts.remembered()
        facts["known"] = {
            name: {"agent": known.agent, "machine": known.machine, "local": known.local}
            for name in self._hosts.members
            if name in self._membership and not (known := self._membership[name]).draining
        }
        with suppress(OSError):  # only the next start would have gained by it
            survivors.remember_hosts(self._state, facts)
