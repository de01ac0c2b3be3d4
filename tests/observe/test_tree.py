from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from pipeline_runner.observe.tree import branches
from tests.observe.feed import edge, run, stage

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot


def drawn(snapshot: Snapshot) -> list[str]:
    return [branch.indent + branch.stage.name for branch in branches(snapshot)]


def test_each_stage_stands_below_the_one_that_feeds_it() -> None:
    assert drawn(run()) == ["list", "└▶resize", "  └▶upload"]


def test_a_stage_fed_by_two_is_drawn_once() -> None:
    stages = (stage("a", "source"), stage("b"), stage("c"), stage("d", "sink"))
    edges = (edge("a", "b"), edge("a", "c"), edge("b", "d"), edge("c", "d"))
    assert drawn(run(stages=stages, edges=edges)) == ["a", "└▶b", "  └▶d", "└▶c"]


def test_stages_of_a_cycle_without_a_source_are_drawn_too() -> None:
    edges = (edge("a", "b"), edge("b", "a"))
    assert drawn(run(stages=(stage("a"), stage("b")), edges=edges)) == ["a", "└▶b"]


def test_a_long_chain_stops_indenting() -> None:
    names = [f"s{i}" for i in range(9)]
    stages = tuple(stage(name, "source" if name == "s0" else "map") for name in names)
    edges = tuple(edge(a, b) for a, b in itertools.pairwise(names))
    assert max(len(line) for line in drawn(run(stages=stages, edges=edges))) == 10
