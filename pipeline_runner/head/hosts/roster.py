"""The hosts of a run: their agents' connections, what they told, and what each should run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from msgspec import ValidationError, convert

from pipeline_runner.errors import ProtocolError
from pipeline_runner.head.view.snapshots import HostReport
from pipeline_runner.observe.snapshot import WorkerView
from pipeline_runner.plan.assign import assign
from pipeline_runner.plan.demand import demands
from pipeline_runner.plan.groups import enrol
from pipeline_runner.plan.hosts import Host
from pipeline_runner.plan.slots import slots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.observe.snapshot import HostState
    from pipeline_runner.plan.assign import Plan
    from pipeline_runner.wire.control_messages import Beat
    from pipeline_runner.wire.server.connection import Connection

_NAME = re.compile(r"[\w.-]{1,255}")
Slots = dict[str, dict[str, tuple[int, ...]]]


@dataclass(slots=True)
class HostRecord:
    """A host. Without a ``connection`` its agent is cut off; ``unfit`` says why it gets no work.

    One that is ``syncing`` gets none yet: its files are on their way.
    """

    host: Host
    report: HostReport
    connection: Connection | None
    unfit: tuple[str, ...] = ()
    syncing: bool = False
    draining: bool = False

    @property
    def state(self) -> HostState:
        """What a person is told of it."""
        if self.draining:
            return "draining"
        if self.connection is None:
            return "away"
        if self.unfit:
            return "syncing" if self.syncing else "unfit"
        return "up"


class Hosts:
    """Who is here, and the plan that follows. Pure but for the connections it keeps.

    While it is ``frozen`` nothing moves: a new head waits for the hosts of the one before it.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.members: dict[str, HostRecord] = {}
        self.slots: Slots = {}
        self.plan: Plan | None = None
        self.frozen = False

    @property
    def planned(self) -> list[Host]:
        """The hosts that may be given work."""
        return [member.host for member in self.members.values() if not member.unfit]

    def join(
        self, connection: Connection, host: Host, now: float, *, unfit: tuple[str, ...] = ()
    ) -> None:
        """Take in a host and plan anew. One that is ``unfit`` has no files yet."""
        report = _report(host, now)
        self.members[host.name] = HostRecord(host, report, connection, unfit, syncing=bool(unfit))
        self.replan()

    def back(self, connection: Connection, host: Host) -> Connection | None:
        """Have a host that returns go on as it was; returns its older connection, if it has one."""
        member = self.members[host.name]
        older, member.connection = member.connection, connection
        member.host = replace(host, lacks=member.host.lacks)
        return older

    def away(self, name: str) -> None:
        """Keep a host that cannot be told anything for the moment."""
        self.members[name].connection = None

    def leave(self, name: str) -> None:
        """Forget a host and plan anew."""
        if self.members.pop(name, None) is not None:
            self.replan()

    def judge(self, name: str, unfit: tuple[str, ...]) -> None:
        """Give a host no work for these reasons, or with none give it some; and plan anew."""
        member = self.members[name]
        member.syncing = False
        if member.unfit != unfit:
            member.unfit = unfit
            self.replan()

    def lacks(self, name: str, reasons: Mapping[str, str]) -> None:
        """Give a host no more work of these stages, each for its reason; and plan anew."""
        member = self.members[name]
        member.host = replace(member.host, lacks={**member.host.lacks, **reasons})
        self.replan()

    def drain(self, name: str) -> None:
        """Give a host nothing more, and plan anew."""
        self.members[name].draining = True
        self.judge(name, ("this host is draining",))

    def reports(self) -> list[HostReport]:
        """Return what every host told last, and how it stands."""
        for member in self.members.values():
            member.report.state = member.state
        return [member.report for member in self.members.values()]

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
        report.workers[pid] = WorkerView(pid, stage, index, "loading")
        report.since[pid] = now

    def exited(self, name: str, pid: int) -> None:
        """Record a worker's end."""
        if name in self.members:
            self.members[name].report.workers.pop(pid, None)

    def running(self, stage: str | None = None, *, host: str | None = None) -> int:
        """Return how many workers of ``stage``, or of all, are there: on ``host``, or on all."""
        return sum(
            stage is None or worker.stage == stage
            for name, member in self.members.items()
            if host is None or name == host
            for worker in member.report.workers.values()
        )

    @property
    def has_loaded(self) -> bool:
        """Whether any worker has its code loaded, and can take work."""
        return any(
            worker.state != "loading"
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

    def wanted(self) -> Mapping[str, int]:
        """Return the workers that each stage should have in all, however many have a place now."""
        here = enrol(self._pipeline.hosts, self.planned)
        placed = self.desired()
        return {
            stage: max(demand.total, placed.get(stage, 0))
            for stage, demand in demands(self._pipeline, here, {}).items()
        }

    def replan(self) -> None:
        """Plan for whoever is here; what runs stays where it may."""
        if self.frozen:
            return
        here = self.planned
        current = {
            host.name: {stage: len(indexes) for stage, indexes in self.slots[host.name].items()}
            for host in here
            if host.name in self.slots
        }
        self.plan = assign(self._pipeline, here, current)
        self.slots = slots(self.plan.counts, self.slots)

    def remembered(self) -> dict[str, Any]:
        """Return, as plain data, what a later head needs to go on with the same plan."""
        facts = {name: member.host.as_json() for name, member in self.members.items()}
        return {"hosts": facts, "slots": self.slots}

    def recall(self, data: Mapping[str, Any], now: float) -> None:
        """Go on with the hosts and the plan of an earlier head; each host is away until it comes.

        Raises KeyError, TypeError or ValueError where ``data`` are not those of ``remembered``.
        """
        for name, facts in data["hosts"].items():
            host = Host(**facts)
            self.members[name] = HostRecord(host, _report(host, now), None)
        known = self._pipeline.stages
        self.slots = {
            name: {
                s: tuple(map(int, i)) for s, i in data["slots"].get(name, {}).items() if s in known
            }
            for name in self.members
        }


def host_of(facts: Mapping[str, Any]) -> Host:
    """Return the host that tells this of itself. Raises ProtocolError for what no host is."""
    try:
        host = convert(facts, Host)
    except ValidationError as error:
        raise ProtocolError(
            f"it tells of its host what this version cannot read: {error}"
        ) from None
    if host.cores < 1 or not _NAME.fullmatch(host.name):
        raise ProtocolError(f"there is no host {host.name!r} with {host.cores} cores")
    return host


def _report(host: Host, now: float) -> HostReport:
    return HostReport(host.name, host.head, now, memory_total=host.memory, cores=host.cores)
