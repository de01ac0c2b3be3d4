"""Whom a head waits for when it starts, before anything is granted, and before anything moves."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline_runner.head.hosts.survivors import Survivors

if TYPE_CHECKING:
    from pipeline_runner.cluster.membership import Membership
    from pipeline_runner.head.hosts.roster import Hosts
    from pipeline_runner.head.hosts.survivors import LeftBehind
    from pipeline_runner.queues.server.server import QueueServer


class Readoption:
    """Waits for the hosts that an earlier head ``left`` and for their workers' ADOPTs.

    Nothing is granted before the last worker has named what it holds; nothing is planned before
    the last host is back or given up. With ``works`` our own host is waited for in any case: what
    has no reason to be elsewhere begins here.
    """

    def __init__(
        self,
        server: QueueServer,
        hosts: Hosts,
        membership: Membership,
        left: LeftBehind,
        *,
        works: bool,
    ) -> None:
        self._server = server
        self._hosts = hosts
        self._survivors = Survivors(left.awaited)
        self._loop = asyncio.get_running_loop()
        self._awaits_own = works
        hosts.frozen = works or bool(left.awaited)
        if left.awaited:
            self._expect(left, membership)

    def joined(self, host: str, workers: tuple[str, ...], *, own: bool) -> None:
        """A host is here; these workers of an earlier head are alive on it."""
        self._awaits_own = self._awaits_own and not own
        self._survivors.host_joined(host, workers)

    def worker_done(self, worker: str) -> None:
        """A worker of an earlier head has named what it holds, or holds nothing any more."""
        if not self._survivors.all_heard:
            self._survivors.worker_done(worker)
            self.go_on()

    def give_up(self, host: str) -> None:
        """Wait for this host no longer."""
        self._survivors.give_up(host)
        self.go_on()

    def go_on(self) -> None:
        """Plan again when every host is back; grant when every worker has said what it holds."""
        if self._hosts.frozen and self._survivors.hosts_heard and not self._awaits_own:
            self._hosts.frozen = False
            self._hosts.replan()
        if self._server.broker.adopting and self._survivors.all_heard:
            self._loop.call_soon(self._server.apply, lambda broker, now: broker.open(now))

    def _expect(self, left: LeftBehind, membership: Membership) -> None:
        now = self._loop.time()
        with suppress(LookupError, TypeError, ValueError, AttributeError):  # a note gone bad
            self._hosts.recall(left.hosts, now)
        for name, known in left.awaited.items():
            agent, machine, is_local = known["agent"], known["machine"], known["local"]
            membership.expect(name, agent, machine, now, local=is_local)
