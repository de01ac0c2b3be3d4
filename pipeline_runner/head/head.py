"""The head: one run of one pipeline, from the first worker to the summary."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline_runner.cluster.membership import SILENT_S
from pipeline_runner.head import last_run
from pipeline_runner.head.agent_events import Reports
from pipeline_runner.head.control.admin import Admin
from pipeline_runner.head.control.commands import Commands
from pipeline_runner.head.control.subscribers import Subscribers
from pipeline_runner.head.files.releases import FOLDER, Releases
from pipeline_runner.head.hosts.local_agent import LocalAgent
from pipeline_runner.head.hosts.presence import HostEvents
from pipeline_runner.head.hosts.roster import Hosts
from pipeline_runner.head.lifecycle import Lifecycle
from pipeline_runner.head.network.manager_endpoint import open_door
from pipeline_runner.head.network.network import Network
from pipeline_runner.head.options import RunResult
from pipeline_runner.head.stop import SIGNALS, Stop
from pipeline_runner.head.view.announcer import Announcer
from pipeline_runner.head.view.log_files import LogFiles
from pipeline_runner.head.view.snapshots import View
from pipeline_runner.observe.sentences import stays_queued
from pipeline_runner.queues.broker.ages import Ages
from pipeline_runner.queues.broker.effects import Amended, Failed, Finished, Stopped
from pipeline_runner.queues.broker.topology import topology_of
from pipeline_runner.queues.server.server import QueueServer
from pipeline_runner.wire.control_messages import Ask

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import ExitCode, RunnerError
    from pipeline_runner.head.address import Address
    from pipeline_runner.head.options import UpOptions
    from pipeline_runner.head.recovery import Start
    from pipeline_runner.head.signals import Signals
    from pipeline_runner.observe.screen import Screen
    from pipeline_runner.observe.snapshot import Snapshot
    from pipeline_runner.queues.broker.effects import Effect
    from pipeline_runner.queues.broker.transaction import Letter
    from pipeline_runner.wire.messages import Hello
    from pipeline_runner.wire.server.connection import Connection

LOOK_S = 0.25


class Head:
    """Joins the broker's server, the agents and whoever watches."""

    def __init__(
        self,
        pipeline: Pipeline,
        screen: Screen,
        options: UpOptions,
        address: Address,
        start: Start,
        signals: Signals,
    ) -> None:
        self._pipeline = pipeline
        self._signals = signals
        self._address = address
        self._loop = asyncio.get_running_loop()
        started = self._loop.time()
        state = pipeline.state_dir
        self._start = start
        behind = start.left_behind(works=options.work)
        broker = start.broker(topology_of(pipeline), started + SILENT_S if behind.awaited else None)
        self._server = QueueServer(
            broker,
            self,
            state,
            most_item=pipeline.server.max_item,
            journal=start.journal,
            relaxed=pipeline.durability == "relaxed",
        )
        self._screen: Subscribers = Subscribers(screen, self._server)
        self._logs = LogFiles(state)
        self._announcer = Announcer(self._screen, self._logs)
        self._hosts = Hosts(pipeline)
        self._view = View(pipeline, broker, started, local=options.local)
        self._stop = Stop()
        keeps = start.journal is not None
        self._lifecycle = Lifecycle(
            pipeline,
            self._server,
            self._hosts,
            self._stop,
            self._view,
            keeps_backlog=keeps,
            warn=self._announcer.warn,
        )
        self._admin = Admin(self._server, state, lambda: self._lifecycle.is_ending)
        log, files = state / "logs" / "agent.log", state / FOLDER
        host = socket.gethostname()
        self._agent = LocalAgent(address.socket, host, log, files, pipeline.root, options.spare)
        self._host_events = HostEvents(
            pipeline,
            self._server,
            self._hosts,
            self._lifecycle,
            self._agent,
            self._announcer,
            behind,
            works=options.work,
            remembers=keeps,
            local=options.local,
        )
        self._releases = Releases(
            pipeline, self._server.send, self._released, self._refuse, self.warn
        )
        self._reports = Reports(
            self._server,
            self._hosts,
            self._lifecycle,
            self._host_events,
            self._releases,
            self._view,
            self._screen,
            self._announcer,
        )
        self._ages = Ages()
        self._network: Network | None = None
        if not options.local:
            self._network = Network(
                pipeline,
                self._server,
                self._lifecycle,
                self._host_events,
                self._releases,
                self._announcer,
                self._refuse,
            )
        text = pipeline.file.read_text(encoding="utf-8") if options.text is None else options.text
        self._commands = Commands(
            pipeline,
            text,
            self._server,
            self._hosts,
            self._lifecycle,
            self._host_events,
            self._admin,
            self._screen,
            self._network,
            self._ages,
        )
        self._looked_at = -LOOK_S

    async def run(self) -> RunResult:
        """Serve until the run is over; see :func:`run`."""
        for notice in self._start.notices(self._lifecycle.remaining):
            self._screen.event(notice)
        self._loop.set_exception_handler(self._crashed)
        self._signals.listen(self._loop, self._on_signal)
        self._server.listen(self._address.socket)
        if self._network is not None:
            self._network.open()
        port = self._network.port if self._network is not None else 0
        folder = self._address.socket.parent
        open_door(self._server, self._pipeline, folder, self.warn, network_port=port)
        self._address.announce()
        self._releases.begin(self._network.secrets if self._network is not None else ())
        self._host_events.open()
        left = self._lifecycle.left
        try:
            while not left.is_set():
                self._look()
                try:
                    await asyncio.wait_for(left.wait(), LOOK_S)
                except asyncio.TimeoutError:
                    continue
        finally:
            self._signals.stop()
            remaining, final = self._lifecycle.remaining, self._lifecycle.snapshot()
            lost = 0 if self._start.journal is not None else remaining
            code = self._lifecycle.exit_code()
            if not self._address.is_lost():
                self._remember(code, final)
            if self._stop.broken is not None:
                self._agent.kill()
                self._screen.failed(self._stop.broken)
            else:
                self._host_events.dismiss("finished" if self._lifecycle.is_finished else "stopped")
                self._screen.ended(final, lost, remaining - lost, code)
            if self._network is not None:
                self._network.close()
            self._server.close()
            await self._loop.run_in_executor(None, self._agent.stop)
            self._releases.close()
            self._logs.close()
        if self._stop.broken is not None:
            raise self._stop.broken
        if self._lifecycle.is_finished and not self._lifecycle.parked:
            self._start.forget()
        elif remaining and self._start.journal is not None:
            self._announcer.say(stays_queued(remaining))
        self._screen.close(final, lost)
        return RunResult(code, final, lost, self._server.broker.state.run)

    def _remember(self, code: ExitCode, final: Snapshot) -> None:
        broken = self._stop.broken
        if broken is not None:
            code = broken.exit_code
        error = "" if broken is None else broken.message
        run = self._server.broker.state.run
        with suppress(OSError):  # a full disk: `ps` will not know how this ended
            last_run.remember(self._pipeline.state_dir, last_run.now(run, code, final, error))

    def _refuse(self, error: RunnerError) -> None:
        """End at once: there is nothing to begin with, or to go on with."""
        self._stop.broken = error
        self._lifecycle.left.set()

    # What the server asks of a head.

    def peer_joined(self, connection: Connection, hello: Hello) -> None:
        """An agent is here, or a command line that has not asked yet."""
        if hello.role == "agent":
            self._host_events.joined(connection, hello)
            if self._network is not None:
                self._network.greet(connection)

    def peer_said(self, connection: Connection, message: Any) -> None:
        """An agent reports, or a command line asks."""
        if isinstance(message, Ask):
            self._commands.asked(connection, message)
        elif connection.role == "agent":
            self._reports.said(connection, message)
        else:
            connection.refuse(f"a command line does not send {type(message).__name__}")

    def peer_left(self, connection: Connection) -> None:
        """A command line has gone, or an agent, and its workers with it."""
        self._screen.remove(connection)
        if connection.role == "agent":
            self._host_events.left(connection)

    def decided(self, effect: Effect) -> None:
        """The broker decided something worth telling."""
        match effect:
            case Failed():
                self._announcer.failed(effect)
            case Finished():
                self._announcer.finished(effect)
            case Amended():
                self._admin.amended(effect)
                if effect.reopened:
                    self._lifecycle.reopen(effect.reopened)
            case Stopped():
                self._stop.failed = True
                self._announcer.stopped(effect)
                self._lifecycle.drain(0.0)

    def dead_lettered(self, letters: Sequence[Letter]) -> None:
        """Dead letters are on disk: say so."""
        self._announcer.dead_lettered(letters)

    def adopted(self, worker: str) -> None:
        """A worker of an earlier head has named what it holds."""
        self._host_events.worker_done(worker)

    def disk_full(self, reason: str) -> None:
        """Say why nothing new is begun, or that it is again."""
        if reason:
            self.warn(f"{reason}: nothing new is begun until there is room", "free some space")
        else:
            self._announcer.say("there is room on the disk again: work goes on")

    def disk_failed(self, error: Exception) -> None:
        """End at once: what is on disk may not be what was read back from it."""
        self._stop.broken = self._start.broken(error)
        self._lifecycle.left.set()

    def _released(self) -> None:
        """The project's files are there: have them run."""
        self._lifecycle.release = self._releases.current
        self._lifecycle.publish()

    def warn(self, text: str, hint: str = "") -> None:
        """Tell the person who watches."""
        self._announcer.warn(text, hint)

    def _crashed(self, _loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        """End on a fault of our own: a head that goes on without one of its hands hangs the run."""
        if self._stop.broken is None:
            lost = self._start.lost() if self._address.is_lost() else None
            error, message = told.get("exception"), told["message"]
            self._stop.broken = lost or self._start.crashed(error, message)
        self._lifecycle.left.set()

    def _look(self) -> None:
        """Show the run as it is, and see whether it is over."""
        now = self._loop.time()
        if now - self._looked_at >= LOOK_S * 0.9:
            self._looked_at = now
            self._screen.snapshot(self._lifecycle.snapshot())
            self._ages.mark(self._server.broker.state.next_body, now)
            self._logs.flush()
            if self._address.is_lost():
                self._refuse(self._start.lost())
        self._host_events.look(now)
        self._lifecycle.step()

    def _on_signal(self, number: signal.Signals, at: float) -> None:
        match self._stop.signalled(number, at):
            case "drain":
                self._lifecycle.drain(self._pipeline.reload.grace)
            case "now":
                self._lifecycle.stop_now(SIGNALS[number])
