"""What a worker is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline_runner.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Out:
    """An edge out of the stage: its name and the tags it wants, none for all."""

    edge: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """At most ``count`` items or ``bytes`` of them at once, after at most ``period_s``."""

    count: int
    bytes: int | None
    period_s: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """One worker's stage and settings; times are seconds, sizes bytes."""

    worker: str
    door: Endpoint
    pipeline: str
    stage: str
    kind: str  # "source" | "map" | "sink"
    run: str
    index: int
    count: int
    host: str
    root: str
    output: str
    release: str
    outs: tuple[Out, ...]
    batch: BatchSpec | None
    concurrency: int
    timeout_s: float | None
    max_items: int | None
    max_memory: int | None
    again: bool  # a generator source is a live feed
    parent: int
    hold_s: float = 0.0  # how long to hold results, and to look for a head, when it is gone
    joined: bool = False  # it runs on a host that joined, which may lack what the head's has

    @staticmethod
    def from_json(data: dict[str, Any]) -> Job:
        """Return the job that plain data describe."""
        outs = tuple(Out(out["edge"], tuple(out["tags"])) for out in data["outs"])
        batch = None if data["batch"] is None else BatchSpec(**data["batch"])
        door = Endpoint.from_json(data["door"])
        return Job(**{**data, "door": door, "outs": outs, "batch": batch})
