"""What agents report of their hosts and workers, taken to whoever needs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pipeline_runner import events
from pipeline_runner.head.hosts.missing_modules import MissingModules
from pipeline_runner.queues.broker.effects import Stopped
from pipeline_runner.wire.control_messages import (
    Beat,
    BeatAck,
    Leaving,
    Lines,
    Ready,
    Report,
    WantManifest,
    WantObjects,
)
from pipeline_runner.wire.messages import Died

if TYPE_CHECKING:
    from pipeline_runner.head.control.subscribers import Subscribers
    from pipeline_runner.head.files.releases import Releases
    from pipeline_runner.head.hosts.presence import HostEvents
    from pipeline_runner.head.hosts.roster import Hosts
    from pipeline_runner.head.lifecycle import Lifecycle
    from pipeline_runner.head.view.announcer import Announcer
    from pipeline_runner.head.view.snapshots import View
    from pipeline_runner.queues.server.server import QueueServer
    from pipeline_runner.wire.server.connection import Connection


class Reports:
    """Takes in agents' messages."""

    def __init__(
        self,
        server: QueueServer,
        hosts: Hosts,
        course: Lifecycle,
        presence: HostEvents,
        releases: Releases,
        view: View,
        watchers: Subscribers,
        teller: Announcer,
    ) -> None:
        self._server = server
        self._hosts = hosts
        self._lifecycle = course
        self._host_events = presence
        self._releases = releases
        self._view = view
        self._subscribers = watchers
        self._announcer = teller
        self._lacking = MissingModules(hosts, presence, releases, teller)
        self._loop = asyncio.get_running_loop()

    def said(self, connection: Connection, message: Any) -> None:
        """Take in one message; one that no agent sends ends its connection."""
        if not self._host_events.heard(connection):
            return
        match message:
            case Beat():
                if connection.remote:  # a head of the same machine is seen to end
                    self._server.send(connection, BeatAck())
                self._hosts.beat(connection.peer, message, self._loop.time())
                for worker in message.workers:
                    if worker.state == "running":
                        self._view.failing.pop(worker.stage, None)
            case Died():
                self._server.died(message)
                self._host_events.worker_done(message.worker)
            case Lines():
                self._announcer.printed(connection.peer, message)
            case Report():
                try:
                    self._event(connection.peer, message)
                except (LookupError, TypeError) as error:
                    connection.refuse(f"it reports what this version cannot read: {error!r}")
            case WantManifest() | WantObjects():
                self._releases.answer(connection, message)
            case Ready():
                problems = self._releases.check(message)
                notes = self._releases.notes(message)
                self._host_events.ready(connection.peer, message.release, problems, notes)
            case Leaving():
                self._host_events.drain(connection.peer)
            case _:
                connection.refuse(f"an agent does not send {type(message).__name__}")

    def _event(self, host: str, report: Report) -> None:
        fields, now = {**report.fields, "host": host}, self._loop.time()
        match report.kind:
            case "WorkerStarted":
                self._hosts.started(host, fields["pid"], fields["stage"], fields["index"], now)
                self._subscribers.event(events.WorkerStarted(**fields))
            case "WorkerExited":
                self._hosts.exited(host, fields["pid"])
                if fields["expected"]:
                    self._view.failing.pop(fields["stage"], None)
                if fields.pop("ended"):
                    self._lifecycle.heard_end(fields["stage"])
                self._subscribers.event(events.WorkerExited(**fields))
                self._lifecycle.step()
            case "StageLacks":
                self._lacking.heard(host, fields["stage"], fields["module"])
            case "WorkerFailing":
                self._view.failing[fields["stage"]] = fields["reason"]
                self._subscribers.event(events.WorkerFailing(**fields))
                if self._lifecycle.failing(fields["stage"], fields["deaths"]):
                    self._announcer.stopped(Stopped(fields["stage"], fields["reason"]))
