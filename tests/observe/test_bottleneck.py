from __future__ import annotations

from typing import Any

import pytest

from pipeline_runner.observe.bottleneck import bottleneck, cores
from pipeline_runner.observe.snapshot import Snapshot
from pipeline_runner.observe.trend import Trend
from tests.observe.feed import edge, host, run, stage

FULL = (edge("list", "resize", 10_000),)


def cure(snapshot: Snapshot) -> str:
    found = bottleneck(snapshot, Trend(), {})
    assert found is not None
    return found[1]


def test_a_run_whose_cores_are_all_busy_is_told_to_add_a_machine() -> None:
    busy = (host(cpu=0.99, cores=2), host("pi4", cpu=0.97, cores=4))
    snapshot = run(edges=FULL, hosts=busy)
    assert cure(snapshot) == "all 6 cores are busy: `runner join` on another machine"
    assert Snapshot.from_json(snapshot.as_json()) == snapshot


def test_a_large_idle_host_counts_for_more_than_a_small_busy_one() -> None:
    assert "raise `processes`" in cure(
        run(edges=FULL, hosts=(host(cores=64), host("pi4", cpu=1.0)))
    )


def test_a_run_without_a_network_is_told_to_start_with_one() -> None:
    alone = run(edges=FULL, hosts=(host(cpu=1.0, cores=2),), local=True)
    assert cure(alone) == (
        "all 2 cores are busy: restart without --local, then `runner join` elsewhere"
    )


@pytest.mark.parametrize(
    "unknown", [{"cpu": None}, {"cores": 0}], ids=["busy unknown", "cores unknown"]
)
def test_without_knowing_the_cores_the_advice_is_more_workers(unknown: dict[str, Any]) -> None:
    snapshot = run(edges=FULL, hosts=(host(cpu=1.0), host("pi4", **unknown)))
    assert cores(snapshot) is None
    assert "raise `processes`" in cure(snapshot)


def test_a_host_that_is_away_has_no_core_to_spare() -> None:
    gone = host("pi4", state="away", cpu=0.0, cores=64)
    found = cores(run(hosts=(host(cpu=1.0, cores=2), gone)))
    assert found is not None
    assert (found.count, found.busy) == (2, 1.0)


def test_a_stage_that_keeps_up_is_nobodys_bottleneck() -> None:
    idle = run(stages=(stage("list", "source"), stage("resize")), edges=(edge("list", "resize"),))
    assert bottleneck(idle, Trend(), {}) is None
