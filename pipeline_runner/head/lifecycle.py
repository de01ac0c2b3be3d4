"""What moves a run on: what each host is told to run, which stages have ended, when it is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline_runner.head.ending import EndFacts, next_step
from pipeline_runner.head.live.worker_specs import hold_s, specs
from pipeline_runner.wire.control_messages import Desired

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import ExitCode
    from pipeline_runner.head.files.releases import Release
    from pipeline_runner.head.hosts.roster import Hosts
    from pipeline_runner.head.stop import Stop
    from pipeline_runner.head.view.snapshots import View
    from pipeline_runner.observe.snapshot import Snapshot
    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.queues.server.server import QueueServer

UNHEARD_S = 5.0  # beyond the grace: an agent that ends a worker then is quicker to tell


class Lifecycle:
    """The course of one run; ``left`` is set once there is nothing more to do.

    With ``keeps_backlog`` what is queued outlives the head.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        server: QueueServer,
        hosts: Hosts,
        stop: Stop,
        view: View,
        *,
        keeps_backlog: bool,
        warn: Callable[[str], None],
    ) -> None:
        self._pipeline = pipeline
        self._warn = warn
        self._server = server
        self._hosts = hosts
        self._stop = stop
        self._view = view
        self._keeps_backlog = keeps_backlog
        self._loop = asyncio.get_running_loop()
        self._awaited: set[str] = set()
        self._stop_by: float | None = None  # once a stop was asked for
        self._grace_s = pipeline.reload.grace
        self._ended: set[str] = set()  # stages whose end a worker has heard
        self._unheard: dict[str, float] = {}  # that have ended since then, and no worker has heard
        self._has_begun = False
        self.release: Release | None = None  # nobody is told anything before it is there
        self.left = asyncio.Event()

    @property
    def is_ending(self) -> bool:
        """Whether nothing is begun any more."""
        return self._stop.workers or self.left.is_set()

    @property
    def is_finished(self) -> bool:
        """Whether every stage has ended, and a worker of each has heard it."""
        stages = self._server.broker.state.stages
        return all(
            stage.finished and (name in self._ended or not self._hosts.desired().get(name))
            for name, stage in stages.items()
        )

    @property
    def remaining(self) -> int:
        """How many items are not gone."""
        return sum(edge.remaining for edge in self._server.broker.state.edges.values())

    @property
    def parked(self) -> int:
        """How many items lie on edges that the file has no more."""
        return sum(backlog.items for backlog in self._server.broker.state.parked.values())

    def wait_for(self, what: str) -> None:
        """Give no host anything to run before :meth:`go_on` is called for the same."""
        self._awaited.add(what)

    def go_on(self, what: str) -> None:
        """Wait for this no longer."""
        self._awaited.discard(what)
        self.publish()

    def publish(self, without: Collection[str] = ()) -> None:
        """Tell each host what it should run now."""
        if self._awaited or self.release is None:
            return
        # Of the workers that are wanted, not of those with a place by now: a source that divides
        # its work by their number would give items twice as soon as another host joins.
        counts = self._hosts.wanted()
        every = specs(self._pipeline, self.release, dict(counts))
        self._server.apply(lambda broker, _now: self._count_sources(broker, counts))
        self.name_releases()
        self._server.keep_shares({s: counts[s] for s in self._pipeline.sources if s in counts})
        run, stages = self._server.broker.state.run, self._server.broker.state.stages
        over = {stage for stage in self._ended if stages[stage].finished}
        for name, member in self._hosts.members.items():
            if member.connection is None:
                continue
            mine = {} if self._stop.workers else dict(self._hosts.slots.get(name, {}))
            if self._stop.draining_until is not None:
                mine = {s: i for s, i in mine.items() if s not in self._pipeline.sources}
            mine = {
                s: i
                for s, i in mine.items()
                if s not in without and (s not in over or self._hosts.running(s, host=name))
            }
            grace_s = 0.0 if self._stop.code is not None else self._grace_s
            holds_s = 0.0 if self._stop.workers else hold_s(self._pipeline)
            ended, version = tuple(self._ended), self.release.name
            settled = not (member.syncing or self._hosts.frozen or self._stop.workers)
            unfit = member.unfit if settled else None
            lacks = dict(member.host.lacks)
            desired = Desired(
                1,
                version,
                every,
                mine,
                grace_s,
                ended,
                holds_s,
                name,
                run,
                unfit,
                lacks,
                self._stop.code is not None,
            )
            self._server.send(member.connection, desired)

    def name_releases(self) -> None:
        """Tell the broker which release's workers may come, and whether any other's may."""
        named = () if self.release is None else (self.release.name,)
        cut = any(member.connection is None for member in self._hosts.members.values())
        self._server.apply(lambda broker, now: broker.releases(named, now, cut=cut))

    def recall_ends(self, finished: Collection[str]) -> None:
        """Take over the ends that a host's workers have heard from an earlier head."""
        # What had ended for the last head has ended for this one, before it is asked.
        self._server.apply(lambda broker, now: broker.tick(now))
        stages = self._server.broker.state.stages
        self._ended.update(s for s in finished if s in stages and stages[s].finished)

    def heard_end(self, stage: str) -> None:
        """Record that a worker of ``stage`` has heard that it ended."""
        if stage in self._pipeline.sources or self._server.broker.state.stages[stage].finished:
            self._ended.add(stage)
        else:  # it has work again since
            self.reopen((stage,))

    def failing(self, stage: str, deaths: int) -> bool:
        """Take in that workers of ``stage`` keep dying, each before it had settled anything.

        One that has ended waits for none of them. One with ``on_failure = "stop"`` ends the run
        after as many deaths as an item has attempts; return whether it does.
        """
        state = self._server.broker.state.stages[stage]
        if self._hosts.running(stage):
            return False
        if state.finished:
            self._ended.add(stage)
            self.publish()
            self.step()
            return False
        if state.spec.on_failure != "stop" or deaths < state.spec.attempts or self._stop.failed:
            return False
        self._stop.failed = True
        self.drain(0.0)
        return True

    def reopen(self, stages: Collection[str]) -> None:
        """Have workers of stages that had ended started again."""
        self._ended.difference_update(stages)
        # A host forgets that a stage has ended when it is to run nothing of it.
        self.publish(without=stages)
        self.publish()

    def drain(self, grace_s: float) -> None:
        """Stop the sources and let the backlog drain for at most ``grace_s`` seconds."""
        if self._stop.draining_until is None:
            now = self._loop.time()
            self._stop.draining_until = now + grace_s
            self._stop_by = now + self._pipeline.reload.grace
            self.publish()
            self.step()

    def stop_now(self, code: ExitCode) -> None:
        """Stop every worker at once, and end with ``code``."""
        if self._stop.code is None:
            self._stop.code = code
            self._stop.workers = True
            self.publish()
            self.step()

    def step(self) -> None:
        """Do the next thing towards the end, if there is one to do."""
        self._wait_no_longer(self._loop.time())
        standing = EndFacts(
            finished=self.is_finished and self._server.idle,
            draining_until=self._stop.draining_until,
            stop_now=self._stop.code is not None,
            source_workers=sum(map(self._hosts.running, self._pipeline.sources)),
            remaining=self.remaining,
            workers=self._hosts.running(),
            keeps_backlog=self._keeps_backlog,
        )
        match next_step(standing, self._loop.time()):
            case "stop workers" if not self._stop.workers:
                self._stop.workers = True
                if self._stop_by is not None:  # what the backlog had is not had twice
                    self._grace_s = max(0.0, self._stop_by - self._loop.time())
                self.publish()
            case "leave" if self._server.idle or self._stop.code is not None:
                if not self._stop.workers:  # no agent should wait for another head
                    self._stop.workers = True
                    self.publish()
                self.left.set()
            case _:
                pass

    def _wait_no_longer(self, now: float) -> None:
        """Have a stage's end stand that no worker has heard within the grace.

        A worker may still load its code then, and for ever; nothing waits for it any more.
        """
        for name, stage in self._server.broker.state.stages.items():
            if not stage.finished or name in self._ended or not self._hosts.desired().get(name):
                self._unheard.pop(name, None)
            elif now - self._unheard.setdefault(name, now) >= self._grace_s + UNHEARD_S:
                self._ended.add(name)
                del self._unheard[name]
                self._warn(f"{name} has ended, and its workers are not waited for any longer")

    def snapshot(self) -> Snapshot:
        """Return the run as it is now; it starts until the first worker can take work."""
        self._has_begun = self._has_begun or self._hosts.has_loaded
        state = self._stop.state(
            finished=self.is_finished,
            left=self.left.is_set(),
            running=self._has_begun,
        )
        hosts = self._hosts.reports()
        release = "" if self.release is None else self.release.name
        return self._view.snapshot(
            self._loop.time(),
            state=state,
            desired=self._hosts.wanted(),
            pending={} if self._hosts.plan is None else self._hosts.plan.pending,
            hosts=hosts,
            release=release,
        )

    def exit_code(self) -> ExitCode:
        """Return what the shell sees when the run ends now."""
        dead = any(stage.dead for stage in self._server.broker.state.stages.values())
        return self._stop.exit_code(left=self.remaining + self.parked, dead=dead)

    def _count_sources(self, broker: Broker, counts: Mapping[str, int]) -> None:
        for stage in self._pipeline.sources:
            broker.processes(stage, max(1, counts.get(stage, 0)))
