"""From the broker's books and the hosts' reports to a snapshot: counts, and rates between two."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline_runner.observe.snapshot import (
    EdgeView,
    HostView,
    ParkedView,
    Snapshot,
    StageView,
    WorkerView,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.observe.snapshot import HostState, RunState, StageState
    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.queues.broker.stages import StageState as Books

_NONE: Mapping[str, int] = MappingProxyType({})
WINDOW_S = 3.0  # rates are over about so long


@dataclass(slots=True)
class HostReport:
    """What an agent told last. ``seen`` is monotonic seconds; ``since`` by pid likewise."""

    name: str
    head: bool
    seen: float
    memory_total: int | None = None
    cores: int = 0
    cpu: float | None = None
    memory_used: int | None = None
    state: HostState = "up"
    release: str = ""
    workers: dict[int, WorkerView] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    consumed: dict[str, int]
    emitted: dict[str, int]
    busy_s: dict[str, float]


class View:
    """Makes snapshots of one run."""

    def __init__(
        self, pipeline: Pipeline, broker: Broker, started: float, *, local: bool = False
    ) -> None:
        self._pipeline = pipeline
        self._stages = broker.state.stages
        self._edges = broker.state.edges
        self._parked = broker.state.parked
        self._started = started
        self._local = local
        self._marks: deque[_Mark] = deque()
        self._earlier = {name: self._items(name) for name in self._stages}
        self._done_s: dict[str, float] = {}  # by stage, since the start
        self.failing: dict[str, str] = {}  # why a stage's workers cannot start

    def snapshot(
        self,
        now: float,
        *,
        state: RunState,
        desired: Mapping[str, int],
        pending: Mapping[str, int] = _NONE,
        hosts: Sequence[HostReport],
        release: str = "",
        note: str = "",
    ) -> Snapshot:
        """Return the run as it is at ``now``, monotonic seconds.

        ``desired`` and ``pending`` are workers by stage: all that it should have, and those of them
        that fit on no host.
        """
        running, loading = dict.fromkeys(self._stages, 0), dict.fromkeys(self._stages, 0)
        for host in hosts:
            for worker in host.workers.values():
                counts = loading if worker.state == "loading" else running
                if worker.stage in counts:
                    counts[worker.stage] += 1
        past = self._mark(now)
        return Snapshot(
            name=self._pipeline.name,
            state=state,
            revision=1,
            release=release,
            durability=self._pipeline.durability,
            up_s=now - self._started,
            stages=tuple(
                self._stage(
                    name,
                    past,
                    now,
                    desired.get(name, 0),
                    pending.get(name, 0),
                    running[name],
                    loading[name],
                )
                for name in self._stages
            ),
            edges=tuple(self._edge(name) for name in self._edges),
            hosts=tuple(_host(host, now) for host in hosts),
            dead_letters=sum(stage.dead for stage in self._stages.values()),
            note=note,
            local=self._local,
            parked=tuple(ParkedView(name, one.items) for name, one in self._parked.items()),
        )

    def _mark(self, now: float) -> _Mark:
        stages = self._stages
        self._marks.append(
            _Mark(
                now,
                {name: stage.consumed for name, stage in stages.items()},
                {name: stage.emitted for name, stage in stages.items()},
                {name: stage.service.busy_s for name, stage in stages.items()},
            )
        )
        while len(self._marks) > 2 and self._marks[1].at <= now - WINDOW_S:
            self._marks.popleft()
        return self._marks[0]

    def _stage(
        self,
        name: str,
        past: _Mark,
        now: float,
        desired: int,
        pending: int,
        running: int,
        loading: int,
    ) -> StageView:
        stage = self._stages[name]
        span = max(now - past.at, 1e-9)
        busy = (stage.service.busy_s - past.busy_s[name]) / (span * max(running, 1))
        reason = stage.paused or self.failing.get(name, "")
        state = _state(stage, reason, desired, running, loading)
        if pending and state == "waiting":
            reason = "no host has a place for it"
        if state == "finished":
            self._done_s.setdefault(name, now - self._started)
        else:
            self._done_s.pop(name, None)  # a retried dead letter had it go on
        return StageView(
            name=name,
            kind=self._pipeline.kind(name),
            state=state,
            desired=desired,
            running=running,
            in_=stage.consumed,
            out=stage.emitted,
            failed=stage.failed,
            dead=stage.dead,
            leased=stage.leased,
            waiting=sum(self._edges[edge].queue.waiting_items for edge in stage.spec.inputs),
            busy=min(1.0, max(0.0, busy)),
            in_rate=(stage.consumed - past.consumed[name]) / span,
            out_rate=(stage.emitted - past.emitted[name]) / span,
            p50_s=stage.service.quantile(0.50),
            p99_s=stage.service.quantile(0.99),
            reason=reason,
            loading=loading,
            earlier=self._earlier[name],
            done_s=self._done_s.get(name),
        )

    def _items(self, name: str) -> int:
        stage = self._stages[name]
        return stage.emitted if stage.spec.is_source else stage.consumed

    def _edge(self, name: str) -> EdgeView:
        edge = self._edges[name]
        spec = edge.spec
        return EdgeView(
            name=name,
            from_=spec.source,
            to=spec.target,
            queued=edge.queue.queued,
            leased=edge.remaining - edge.queue.queued,
            settled=edge.settled,
            capacity=spec.capacity_items or 0,
            capacity_bytes=spec.capacity_bytes,
            queued_bytes=max(0, int(edge.bytes)),
        )


def _state(stage: Books, reason: str, desired: int, running: int, loading: int) -> StageState:
    if stage.finished:
        return "finished"
    if stage.paused:
        return "paused"
    if reason and running < desired:
        return "failing"
    if running:
        return "running"
    return "loading" if loading else "waiting"


def _host(host: HostReport, now: float) -> HostView:
    workers = tuple(
        WorkerView(w.pid, w.stage, w.index, w.state, now - host.since.get(w.pid, now))
        for w in sorted(host.workers.values(), key=lambda w: (w.stage, w.index))
    )
    return HostView(
        name=host.name,
        state=host.state,
        head=host.head,
        workers=workers,
        cpu=host.cpu,
        memory_used=host.memory_used,
        memory_total=host.memory_total,
        seen_s=now - host.seen,
        release=host.release,
        cores=host.cores,
    )
