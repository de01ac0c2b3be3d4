"""The head: one run of one pipeline, from the first worker to the summary."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_runner import events
from pipeline_runner.errors import ExitCode, RunnerError
from pipeline_runner.head import answers, survivors
from pipeline_runner.head.address import Address
from pipeline_runner.head.amendments import VERBS, Amendments
from pipeline_runner.head.desired import hold_s, specs
from pipeline_runner.head.ending import Standing, next_step
from pipeline_runner.head.hosts import Hosts
from pipeline_runner.head.local_agent import LocalAgent
from pipeline_runner.head.logs import LogFiles
from pipeline_runner.head.start import Start, begin
from pipeline_runner.head.stock_door import open_door
from pipeline_runner.head.stop import SIGNALS, Stop
from pipeline_runner.head.survivors import Survivors
from pipeline_runner.head.telling import Teller
from pipeline_runner.head.view import View
from pipeline_runner.head.watchers import Watchers
from pipeline_runner.observe.sentences import stays_queued
from pipeline_runner.queues.effects import Amended, Failed, Finished, Stopped
from pipeline_runner.queues.messages import Answer, Ask, Beat, Desired, Died, Lines, Report
from pipeline_runner.queues.server import QueueServer
from pipeline_runner.queues.topology import topology_of

if TYPE_CHECKING:
    import signal
    from collections.abc import Collection, Mapping, Sequence

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.observe.screen import Screen
    from pipeline_runner.observe.snapshot import Snapshot
    from pipeline_runner.queues.broker import Broker
    from pipeline_runner.queues.connection import Connection
    from pipeline_runner.queues.effects import Effect
    from pipeline_runner.queues.messages import Hello
    from pipeline_runner.queues.transaction import Letter

LOOK_S = 0.25
ADOPT_S = 10.0  # after a restart, so long is waited for what workers still hold


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How to run. ``fresh`` forgets what an earlier run left; without ``work`` no worker runs.

    ``text`` is that of a pipeline made in code, which has no file.
    """

    fresh: bool = False
    work: bool = True
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """How it ended; ``lost`` items were queued or in work when it had to stop."""

    exit_code: ExitCode
    snapshot: Snapshot
    lost: int


def run(pipeline: Pipeline, screen: Screen, options: UpOptions) -> RunResult:
    """Run ``pipeline`` until its end or a signal, telling ``screen``.

    In the main thread, that is: in another one no signal reaches it, and only `down` stops it.
    Raises AlreadyRunning if another head has its state folder.
    """
    address = Address(pipeline.state_dir, pipeline.name)
    address.take()
    try:
        start = begin(pipeline, fresh=options.fresh)
        return asyncio.run(_run(pipeline, screen, options, address, start))
    finally:
        address.leave()


async def _run(
    pipeline: Pipeline, screen: Screen, options: UpOptions, address: Address, start: Start
) -> RunResult:
    return await Head(pipeline, screen, options, address, start).run()


class Head:
    """Joins the broker's server, the agents and whoever watches."""

    def __init__(
        self,
        pipeline: Pipeline,
        screen: Screen,
        options: UpOptions,
        address: Address,
        start: Start,
    ) -> None:
        self._pipeline = pipeline
        self._options = options
        text = options.text
        self._text = pipeline.file.read_text(encoding="utf-8") if text is None else text
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        state = pipeline.state_dir
        self._start = start
        self._survivor = start.survivor(works=options.work)
        self._survivors = Survivors(agent_lives=self._survivor is not None)
        self._closed_until = self._started + ADOPT_S
        self._broker = start.broker(
            topology_of(pipeline), None if self._survivors.all_heard else self._closed_until
        )
        self._server = QueueServer(
            self._broker,
            self,
            state,
            most_item=pipeline.server.max_item,
            journal=start.journal,
            relaxed=pipeline.durability == "relaxed",
        )
        self._screen: Watchers = Watchers(screen, self._server)
        self._amendments = Amendments(self._server, state, self._is_ending)
        self._hosts = Hosts(pipeline)
        self._view = View(pipeline, self._broker, self._started)
        self._logs = LogFiles(state)
        self._teller = Teller(self._screen, self._logs)
        log = state / "logs" / "agent.log"
        self._agent = LocalAgent(address.socket, socket.gethostname(), log)
        self._ended: set[str] = set()  # stages whose end a worker has heard
        self._stop = Stop()
        self._left = asyncio.Event()
        self._looked_at = -LOOK_S

    async def run(self) -> RunResult:
        """Serve until the run is over; see :func:`run`."""
        for notice in self._start.notices(self._remaining()):
            self._screen.event(notice)
        self._loop.set_exception_handler(self._crashed)
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._loop.add_signal_handler(number, self._on_signal, number)
        self._server.listen(self._address.socket)
        open_door(self._server, self._pipeline, self._address.socket.parent, self.warn)
        self._address.announce()
        if self._survivor is not None:
            self._agent.adopt(self._survivor)
        elif self._options.work:
            self._agent.start()
        try:
            while not self._left.is_set():
                self._look()
                try:
                    await asyncio.wait_for(self._left.wait(), LOOK_S)
                except asyncio.TimeoutError:
                    continue
        finally:
            left = self._remaining()
            final = self._snapshot()
            lost = 0 if self._start.journal is not None else left
            if self._stop.broken is not None:
                self._agent.kill()
                self._screen.failed(self._stop.broken)
            else:
                self._screen.ended(final, lost, left - lost, self._exit_code(lost))
            self._server.close()
            await self._loop.run_in_executor(None, self._agent.stop)
            self._logs.close()
        if self._stop.broken is not None:
            raise self._stop.broken
        if self._finished():
            self._start.forget()
        elif left and self._start.journal is not None:
            self._teller.say(stays_queued(left))
        self._screen.close(final, lost)
        return RunResult(self._exit_code(lost), final, lost)

    # What the server asks of a head.

    def peer_joined(self, connection: Connection, hello: Hello) -> None:
        """An agent is here: plan with its host, and tell it what to run."""
        if hello.role != "agent":
            return
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
        # What had ended for the last head has ended for this one, before it is asked.
        self._server.apply(lambda broker, now: broker.tick(now))
        stages = self._broker.books.stages
        ended = [name for name in hello.finished if name in stages and stages[name].finished]
        self._ended.update(ended)
        self._hosts.join(connection, hello, self._loop.time())
        assert self._hosts.plan is not None
        for warning in self._hosts.plan.warnings:
            self.warn(warning)
        for stage, count in self._hosts.plan.pending.items():
            self.warn(
                f"{stage}: {count} worker{'s' * (count > 1)} cannot be placed",
                f"runner why {stage}",
            )
        self._publish()

    def peer_said(self, connection: Connection, message: Any) -> None:
        """An agent reports, or a command line asks."""
        match message:
            case Beat():
                self._hosts.beat(connection.peer, message, self._loop.time())
                for worker in message.workers:
                    if worker.state == "running":
                        self._view.failing.pop(worker.stage, None)
            case Died():
                self._server.died(message)
                self._survivors.worker_done(message.worker)
                self._open_when_heard()
            case Lines():
                self._teller.printed(connection.peer, message)
            case Report():
                self._reported(message)
            case Ask() if message.verb in VERBS:
                self._amendments.begin(connection, message)
            case Ask(verb="watch"):
                facts = {"name": self._pipeline.name, "pid": os.getpid(), "text": self._text}
                self._screen.add(connection, facts)
            case Ask():
                self._server.send(connection, *self._answer(message))
            case _:
                connection.refuse(f"a {connection.role} does not send {type(message).__name__}")

    def peer_left(self, connection: Connection) -> None:
        """An agent is gone, and its workers with it: their items are free."""
        self._screen.remove(connection)
        if connection.role != "agent" or (self._stop.workers or self._left.is_set()):
            return
        member = self._hosts.members.get(connection.peer)
        if member is None or member.connection is not connection:
            return
        self.warn(f"the agent of {connection.peer} died; its workers start again")
        if connection.peer == socket.gethostname():
            self._agent.sweep(self._hosts.members[connection.peer].report.workers)
        self._hosts.leave(connection.peer)
        self._server.lost(connection.peer)
        if self._options.work and connection.peer == socket.gethostname():
            self._agent.start()

    def decided(self, effect: Effect) -> None:
        """The broker decided something worth telling."""
        match effect:
            case Failed():
                self._teller.failed(effect)
            case Finished():
                self._teller.finished(effect)
            case Amended():
                self._amendments.amended(effect)
                if effect.reopened:
                    self._reopen(effect.reopened)
            case Stopped():
                self._stop.failed = True
                self._teller.stopped(effect)
                self._drain(0.0)

    def lettered(self, letters: Sequence[Letter]) -> None:
        """Dead letters are on disk: say so."""
        self._teller.lettered(letters)

    def adopted(self, worker: str) -> None:
        """A worker of an earlier head has named what it holds."""
        if not self._survivors.all_heard:
            self._survivors.worker_done(worker)
            self._open_when_heard()

    def disk_full(self, reason: str) -> None:
        """Say why nothing new is begun, or that it is again."""
        if reason:
            self.warn(f"{reason}: nothing new is begun until there is room", "free some space")
        else:
            self._teller.say("there is room on the disk again: work goes on")

    def _crashed(self, _loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        """End on a fault of our own: a head that goes on without one of its hands hangs the run."""
        if self._stop.broken is None:
            self._stop.broken = self._start.crashed(told.get("exception"), told["message"])
        self._left.set()

    def disk_failed(self, error: Exception) -> None:
        """End at once: what is on disk may not be what was read back from it."""
        self._stop.broken = self._start.broken(error)
        self._left.set()

    def warn(self, text: str, hint: str = "") -> None:
        """Tell the person who watches."""
        self._teller.say(text, hint, "warning")

    def _open_when_heard(self) -> None:
        """Grant again as soon as every survivor has named what it holds."""
        if self._broker.adopting and self._survivors.all_heard:
            self._loop.call_soon(self._server.apply, lambda broker, now: broker.open(now))

    def _look_for_survivors(self, now: float) -> None:
        """Replace an agent that does not come back."""
        if self._survivors.agent_awaited and (
            now >= self._closed_until or not self._agent.survivor_lives
        ):
            self._survivors.give_up()
            self._agent.start()
            self._open_when_heard()

    # What moves a run on.

    def _reopen(self, stages: Collection[str]) -> None:
        """Have workers of stages that had ended started again."""
        self._ended.difference_update(stages)
        # A host forgets that a stage has ended when it is to run nothing of it.
        self._publish(without=stages)
        self._publish()

    def _publish(self, without: Collection[str] = ()) -> None:
        """Tell each host what it should run now."""
        counts = self._hosts.desired()
        every = specs(self._pipeline, "", dict(counts))
        self._server.apply(lambda broker, _now: self._count_sources(broker, counts))
        self._server.keep_shares({s: counts[s] for s in self._pipeline.sources if s in counts})
        for name, member in self._hosts.members.items():
            mine = {} if self._stop.workers else dict(self._hosts.slots.get(name, {}))
            if self._stop.draining_until is not None:
                mine = {s: i for s, i in mine.items() if s not in self._pipeline.sources}
            mine = {s: i for s, i in mine.items() if s not in without}
            grace_s = 0.0 if self._stop.code is not None else self._pipeline.reload.grace
            holds_s = 0.0 if self._stop.workers else hold_s(self._pipeline)
            desired = Desired(1, "", every, mine, grace_s, tuple(self._ended), holds_s)
            self._server.send(member.connection, desired)

    def _count_sources(self, broker: Broker, counts: Mapping[str, int]) -> None:
        for stage in self._pipeline.sources:
            broker.processes(stage, max(1, counts.get(stage, 0)))

    def _look(self) -> None:
        """Show the run as it is, and see whether it is over."""
        now = self._loop.time()
        if now - self._looked_at >= LOOK_S * 0.9:
            self._looked_at = now
            self._screen.snapshot(self._snapshot())
            self._logs.flush()
        self._look_for_survivors(now)
        self._step()

    def _step(self) -> None:
        standing = Standing(
            finished=self._finished() and self._server.idle,
            draining_until=self._stop.draining_until,
            stop_now=self._stop.code is not None,
            source_workers=sum(map(self._hosts.running, self._pipeline.sources)),
            remaining=self._remaining(),
            workers=self._hosts.running(),
            keeps_backlog=self._start.journal is not None,
        )
        match next_step(standing, self._loop.time()):
            case "stop workers" if not self._stop.workers:
                self._stop.workers = True
                self._publish()
            case "leave" if self._server.idle or self._stop.code is not None:
                if not self._stop.workers:  # no agent should wait for another head
                    self._stop.workers = True
                    self._publish()
                self._left.set()
            case _:
                pass

    def _finished(self) -> bool:
        stages = self._broker.books.stages
        return all(
            stage.finished and (name in self._ended or not self._hosts.desired().get(name))
            for name, stage in stages.items()
        )

    def _remaining(self) -> int:
        return sum(edge.remaining for edge in self._broker.books.edges.values())

    def _on_signal(self, number: signal.Signals) -> None:
        match self._stop.signalled(self._loop.time()):
            case "drain":
                self._drain(self._pipeline.reload.grace)
            case "now":
                self._stop_now(SIGNALS[number])

    def _drain(self, grace_s: float) -> None:
        """Stop the sources and let the backlog drain for at most ``grace_s`` seconds."""
        if self._stop.draining_until is None:
            self._stop.draining_until = self._loop.time() + grace_s
            self._publish()
            self._look()

    def _stop_now(self, code: ExitCode) -> None:
        if self._stop.code is None:
            self._stop.code = code
            self._stop.workers = True
            self._publish()
            self._look()

    def _reported(self, report: Report) -> None:
        fields = report.fields
        match report.kind:
            case "WorkerStarted":
                self._hosts.started(
                    fields["host"],
                    fields["pid"],
                    fields["stage"],
                    fields["index"],
                    self._loop.time(),
                )
                self._screen.event(events.WorkerStarted(**fields))
            case "WorkerExited":
                self._hosts.exited(fields["host"], fields["pid"])
                if fields["expected"]:
                    self._view.failing.pop(fields["stage"], None)
                if fields["cause"] == "finished":
                    self._heard_end(fields["stage"])
                self._screen.event(events.WorkerExited(**fields))
                self._step()
            case "WorkerFailing":
                self._view.failing[fields["stage"]] = fields["reason"]
                self._screen.event(events.WorkerFailing(**fields))

    def _is_ending(self) -> bool:
        return self._stop.workers or self._left.is_set()

    def _heard_end(self, stage: str) -> None:
        if stage in self._pipeline.sources or self._broker.books.stages[stage].finished:
            self._ended.add(stage)
        else:  # it has work again since
            self._reopen((stage,))

    def _answer(self, ask: Ask) -> tuple[Answer, bytes]:
        try:
            if ask.verb == "peek":
                result, data = answers.peek(self._broker.books, **ask.arguments)
                return Answer(result), data
            return Answer(self._result(ask)), b""
        except RunnerError as error:
            return Answer(error=error.message, hint=error.hint), b""

    def _result(self, ask: Ask) -> dict[str, Any]:
        match ask.verb:
            case "ps":
                return self._snapshot().as_json()
            case "why":
                return answers.explain(self._pipeline, self._hosts, str(ask.arguments["stage"]))
            case "queues":
                return answers.queues(self._broker.books)
            case "plan":
                return answers.plan(self._hosts) | {"text": self._text}
            case "down":
                if ask.arguments.get("now"):
                    self._loop.call_soon(self._stop_now, ExitCode.TERMINATED)
                else:
                    self._loop.call_soon(self._drain, self._pipeline.reload.grace)
                return {}
        raise RunnerError(f"this head does not know {ask.verb!r}", hint="its version may be older")

    def _snapshot(self) -> Snapshot:
        state = self._stop.state(
            finished=self._finished(),
            left=self._left.is_set(),
            running=bool(self._hosts.running()),
        )
        desired = self._hosts.desired()
        hosts = [member.report for member in self._hosts.members.values()]
        return self._view.snapshot(self._loop.time(), state=state, desired=desired, hosts=hosts)

    def _exit_code(self, lost: int) -> ExitCode:
        dead = any(stage.dead for stage in self._broker.books.stages.values())
        return self._stop.exit_code(lost=lost, dead=dead)
