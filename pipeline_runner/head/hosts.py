"""The hosts of a run: their agents' connections, what they told, and what each should run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_runner.head.view import HostReport
from pipeline_runner.observe.snapshot import WorkerView
from pipeline_runner.plan.assign import assign
from pipeline_runner.plan.hosts import Host
from pipeline_runner.plan.slots import slots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.assign import Plan
    from pipeline_runner.queues.connection import Connection
    from pipeline_runner.queues.messages import Beat, Hello

Slots = dict[str, dict[str, tuple[int, ...]]]


@dataclass(slots=True)
class Member:
    """A host with an agent that is connected."""

    host: Host
    report: HostReport
    connection: Connection


class Hosts:
    """Who is here, and the plan that follows. Pure but for the connections it keeps."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.members: dict[str, Member] = {}
        self.slots: Slots = {}
        self.plan: Plan | None = None

    def join(self, connection: Connection, hello: Hello, now: float) -> None:
        """Take in a host and plan anew."""
        facts: dict[str, Any] = hello.facts
        host = Host(name=hello.host, head=True, **facts)
        report = HostReport(hello.host, head=True, seen=now, memory_total=host.memory)
        self.members[hello.host] = Member(host, report, connection)
        self._replan()

    def leave(self, name: str) -> None:
        """Forget a host and plan anew."""
        self.members.pop(name, None)
        self._replan()

    def beat(self, name: str, beat: Beat, now: float) -> None:
        """Take in what an agent reports of itself."""
        report = self.members[name].report
        report.seen, report.cpu, report.memory_used = now, beat.cpu, beat.memory_used
        report.workers = {
            w.pid: WorkerView(w.pid, w.stage, w.index, w.state, w.age_s) for w in beat.workers
        }
        report.since = {w.pid: now - w.age_s for w in beat.workers}

    def started(self, name: str, pid: int, stage: str, index: int, now: float) -> None:
        """Record a new worker before the next beat tells of it."""
        report = self.members[name].report
        report.workers[pid] = WorkerView(pid, stage, index, "starting")
        report.since[pid] = now

    def exited(self, name: str, pid: int) -> None:
        """Record a worker's end."""
        if name in self.members:
            self.members[name].report.workers.pop(pid, None)

    def running(self, stage: str | None = None) -> int:
        """Return how many workers of ``stage``, or of all, are there."""
        return sum(
            stage is None or worker.stage == stage
            for member in self.members.values()
            for worker in member.report.workers.values()
        )

    def desired(self) -> Mapping[str, int]:
        """Return the workers planned for each stage, over all hosts."""
        counts: dict[str, int] = {}
        for stages in self.slots.values():
            for stage, indexes in stages.items():
                counts[stage] = counts.get(stage, 0) + len(indexes)
        return counts

    def _replan(self) -> None:
        current = {
            host: {s: len(i) for s, i in stages.items()} for host, stages in self.slots.items()
        }
        here = [member.host for member in self.members.values()]
        known = {name: current[name] for name in self.members if name in current}
        self.plan = assign(self._pipeline, here, known)
        self.slots = slots(self.plan.counts, self.slots)
