"""Snapshots of a made-up run, as small as a test needs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline_runner.observe.snapshot import EdgeView, HostView, Snapshot, StageView, WorkerView


def stage(name: str, kind: str = "map", **changes: Any) -> StageView:
    base = StageView(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        state="running",
        desired=2,
        running=2,
        in_=0 if kind == "source" else 100,
        out=0 if kind == "sink" else 100,
        failed=0,
        dead=0,
        leased=1,
        waiting=0,
        busy=0.4,
        in_rate=0.0 if kind == "source" else 20.0,
        out_rate=0.0 if kind == "sink" else 20.0,
        p50_s=0.005,
        p99_s=0.020,
    )
    return replace(base, **changes)


def edge(from_: str, to: str, queued: int = 0, **changes: Any) -> EdgeView:
    base = EdgeView(
        name=f"{from_}->{to}",
        from_=from_,
        to=to,
        queued=queued,
        leased=1,
        settled=100,
        capacity=10_000,
    )
    return replace(base, **changes)


def host(name: str = "desk", workers: int = 2, **changes: Any) -> HostView:
    base = HostView(
        name=name,
        state="up",
        head=name == "desk",
        workers=tuple(WorkerView(4000 + i, "resize", i, "running", 12.0) for i in range(workers)),
        cpu=0.41,
        memory_used=3 * 1024**3 + 100 * 1024**2,
        memory_total=16 * 1024**3,
        release="a91fc0ffee",
        cores=4,
    )
    return replace(base, **changes)


def run(**changes: Any) -> Snapshot:
    """list -> resize -> upload on one host, a little after its start."""
    base = Snapshot(
        name="thumbs",
        state="running",
        revision=7,
        release="a91fc0ffee",
        durability="memory",
        up_s=842.0,
        stages=(
            stage("list", "source", desired=1, running=1, busy=0.31, out=9000, out_rate=212.0),
            stage(
                "resize",
                busy=0.97,
                desired=8,
                running=8,
                leased=8,
                in_rate=171.0,
                out_rate=171.0,
                p50_s=0.046,
                p99_s=1.2,
                failed=3,
                dead=1,
            ),
            stage("upload", "sink", in_rate=171.0),
        ),
        edges=(edge("list", "resize", 8100), edge("resize", "upload", 12)),
        hosts=(host(), host("pi4", cpu=0.97, seen_s=2.0, memory_used=900 * 1024**2)),
        dead_letters=1,
    )
    return replace(base, **changes)
