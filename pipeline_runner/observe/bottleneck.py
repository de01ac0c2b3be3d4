"""Which stage holds the run back right now, from what the screen has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.observe.trend import fill, queued_for, stage_growth
from pipeline_runner.plan.bottleneck import StageLoad
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
    found = judge(loads)
    return None if found is None else (f"BOTTLENECK {found.sentence}", found.cure)
