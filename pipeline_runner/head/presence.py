"""Who is here: agents that come, report and go, and those a new head waits for."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from pipeline_runner.head import survivors
from pipeline_runner.head.survivors import Survivors

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.course import Course
    from pipeline_runner.head.hosts import Hosts
    from pipeline_runner.head.local_agent import LocalAgent
    from pipeline_runner.head.telling import Teller
    from pipeline_runner.queues.connection import Connection
    from pipeline_runner.queues.messages import Hello
    from pipeline_runner.queues.server import QueueServer


class Presence:
    """Keeps ``hosts`` true to who is connected.

    ``survivor`` is the pid of an agent that outlived an earlier head; nothing is granted before
    its workers have named what they hold, or ``closed_until``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        server: QueueServer,
        hosts: Hosts,
        course: Course,
        agent: LocalAgent,
        teller: Teller,
        *,
        survivor: int | None,
        closed_until: float,
        works: bool,
    ) -> None:
        self._pipeline = pipeline
        self._server = server
        self._hosts = hosts
        self._course = course
        self._agent = agent
        self._teller = teller
        self._survivor = survivor
        self._survivors = Survivors(agent_lives=survivor is not None)
        self._closed_until = closed_until
        self._works = works
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        """Have an agent of our own: the one that outlived an earlier head, or a new one."""
        if self._survivor is not None:
            self._agent.adopt(self._survivor)
        elif self._works:
            self._agent.start()

    def joined(self, connection: Connection, hello: Hello) -> None:
        """An agent is here: plan with its host, and tell it what to run."""
        if hello.host in self._hosts.members:
            connection.refuse("this host has an agent already")
            return
        if hello.pid != self._survivor:
            # Workers of an agent before it ended with that, and nobody is left to tell.
            self._server.lost(hello.host)
        self._survivors.agent_joined(hello.workers)
        self._open_when_heard()
        if hello.host == socket.gethostname():
            survivors.remember(self._pipeline.state_dir, hello.pid)
        self._course.recall_ends(hello.finished)
        self._hosts.join(connection, hello, self._loop.time())
        assert self._hosts.plan is not None
        for warning in self._hosts.plan.warnings:
            self._teller.warn(warning)
        for stage, count in self._hosts.plan.pending.items():
            self._teller.warn(
                f"{stage}: {count} worker{'s' * (count > 1)} cannot be placed",
                f"runner why {stage}",
            )
        self._course.publish()

    def left(self, connection: Connection) -> None:
        """An agent is gone, and its workers with it: their items are free."""
        if self._course.is_ending:
            return
        member = self._hosts.members.get(connection.peer)
        if member is None or member.connection is not connection:
            return
        self._teller.warn(f"the agent of {connection.peer} died; its workers start again")
        if connection.peer == socket.gethostname():
            self._agent.sweep(self._hosts.members[connection.peer].report.workers)
        self._hosts.leave(connection.peer)
        self._server.lost(connection.peer)
        if self._works and connection.peer == socket.gethostname():
            self._agent.start()

    def worker_done(self, worker: str) -> None:
        """A worker of an earlier head has named what it holds, or holds nothing any more."""
        if not self._survivors.all_heard:
            self._survivors.worker_done(worker)
            self._open_when_heard()

    def look(self, now: float) -> None:
        """Replace an agent that does not come back."""
        if self._survivors.agent_awaited and (
            now >= self._closed_until or not self._agent.survivor_lives
        ):
            self._survivors.give_up()
            self._agent.start()
            self._open_when_heard()

    def _open_when_heard(self) -> None:
        """Grant again as soon as every survivor has named what it holds."""
        if self._server.broker.adopting and self._survivors.all_heard:
            self._loop.call_soon(self._server.apply, lambda broker, now: broker.open(now))
