"""Which stage holds the run back right now, from what the screen has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.observe.trend import fill, queued_for, stage_growth
from pipeline_runner.plan.bottleneck import Cores, StageLoad
from pipeline_runner.plan.bottleneck import bottleneck as judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.observe.snapshot import Snapshot
    from pipeline_runner.observe.trend import Trend


def bottleneck(snapshot: Snapshot, trend: Trend, keys: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what is the bottleneck and what would cure it, or None while nothing is.

    ``keys`` names for each stage the setting that decides its count; ``processes`` if absent.
    """
    loads = [
        StageLoad(
            name=stage.name,
            busy=stage.busy,
            queued=queued_for(snapshot, stage.name),
            growth_per_s=stage_growth(snapshot, trend, stage.name),
            workers=stage.running,
            in_rate=stage.in_rate,
            fill=fill(snapshot, stage.name),
            key=keys.get(stage.name, "processes"),
        )
        for stage in snapshot.stages
    ]
    found = judge(loads, cores(snapshot))
    return None if found is None else (f"BOTTLENECK {found.sentence}", found.cure)


def cores(snapshot: Snapshot) -> Cores | None:
    """Return the cores of the hosts that take work, None where one has not told how busy it is."""
    busy_cores, count = 0.0, 0
    for host in snapshot.hosts:
        if host.state != "up":
            continue
        if host.cpu is None or not host.cores:
            return None
        busy_cores += host.cpu * host.cores
        count += host.cores
    return Cores(count, busy_cores / count, can_grow=not snapshot.local) if count else None
