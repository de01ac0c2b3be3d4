"""A run at one moment, in the shape that ``ps --json`` prints and every screen draws."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

RunState = Literal["starting", "running", "draining", "finished", "stopped", "failed"]
# "away" is cut off, and may return; "syncing" has no files yet; "unfit" cannot run them.
HostState = Literal["up", "away", "syncing", "unfit", "draining", "lost"]
StageState = Literal["waiting", "loading", "running", "paused", "failing", "finished"]


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage. Counts are items since the run began; rates are items a second, recent.

    Of the ``desired`` workers ``running`` can take work and ``loading`` import their code; the
    others wait for a place or for their start.
    """

    name: str
    kind: Literal["source", "map", "sink"]
    state: StageState
    desired: int
    running: int
    in_: int  # items consumed for good (0 for a source)
    out: int  # items emitted
    failed: int  # failed attempts
    dead: int  # dead letters
    leased: int
    waiting: int  # failed items waiting for their retry
    busy: float  # 0..1: share of its running workers' time spent in user code, recent
    in_rate: float
    out_rate: float
    p50_s: float | None  # service time of an item, in seconds
    p99_s: float | None
    reason: str = ""  # why it is paused, failing or waiting
    loading: int = 0
    earlier: int = 0  # items of before this head, of ``out`` for a source, of ``in_`` for others
    done_s: float | None = None  # when it finished, in seconds since the head began

    @property
    def items(self) -> int:
        """What it is paced by: what a source gave, what another stage consumed."""
        return self.out if self.kind == "source" else self.in_


@dataclass(frozen=True, slots=True)
class EdgeView:
    """One edge. ``capacity`` is in items, or in bytes when ``capacity_bytes`` is set."""

    name: str
    from_: str
    to: str
    queued: int
    leased: int
    settled: int
    capacity: int
    capacity_bytes: int | None = None
    queued_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ParkedView:
    """What lies on an edge that the file has no more: nothing takes it, and nothing deletes it."""

    name: str
    queued: int


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker process."""

    pid: int
    stage: str
    index: int
    state: str  # "loading" | "running" | "draining"
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HostView:
    """One host. ``cpu`` is 0..1 of the time of its ``cores``; 0 cores: it has not told."""

    name: str
    state: HostState
    head: bool
    workers: tuple[WorkerView, ...]
    cpu: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    seen_s: float = 0.0
    release: str = ""
    cores: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment. ``up_s`` is seconds since it began.

    ``local`` if no other machine can join it.
    """

    name: str
    state: RunState
    revision: int
    release: str
    durability: str
    up_s: float
    stages: tuple[StageView, ...]
    edges: tuple[EdgeView, ...]
    hosts: tuple[HostView, ...]
    dead_letters: int = 0
    note: str = ""
    local: bool = False
    parked: tuple[ParkedView, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain data with the documented names (``in`` and ``from`` among them)."""
        data = asdict(self)
        for stage in data["stages"]:
            stage["in"] = stage.pop("in_")
        for edge in data["edges"]:
            edge["from"] = edge.pop("from_")
        return data

    @staticmethod
    def from_json(data: dict[str, Any]) -> Snapshot:
        """Return the snapshot that :meth:`as_json` described. Raises KeyError or TypeError."""
        stages = tuple(
            StageView(in_=s["in"], **{k: v for k, v in s.items() if k != "in"})
            for s in data["stages"]
        )
        edges = tuple(
            EdgeView(from_=e["from"], **{k: v for k, v in e.items() if k != "from"})
            for e in data["edges"]
        )
        hosts = tuple(
            HostView(
                workers=tuple(WorkerView(**w) for w in h["workers"]),
                **{k: v for k, v in h.items() if k != "workers"},
            )
            for h in data["hosts"]
        )
        parked = tuple(ParkedView(**p) for p in data.get("parked", ()))
        rest = {k: v for k, v in data.items() if k not in {"stages", "edges", "hosts", "parked"}}
        return Snapshot(stages=stages, edges=edges, hosts=hosts, parked=parked, **rest)
