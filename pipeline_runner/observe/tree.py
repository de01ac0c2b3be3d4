"""The stages in the order their items travel, each under the stage that feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot, StageView

# Past this depth a long chain is drawn straight down: the name matters more than its indent.
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree: ``indent`` is drawn before the stage's name."""

    indent: str
    stage: StageView


def branches(snapshot: Snapshot) -> list[Branch]:
    """Return every stage once, sources first, each below the first stage that feeds it."""
    by_name = {stage.name: stage for stage in snapshot.stages}
    fed_by: dict[str, list[str]] = {name: [] for name in by_name}
    for edge in snapshot.edges:
        if edge.from_ in by_name and edge.to in by_name:
            fed_by[edge.from_].append(edge.to)
    drawn: list[Branch] = []
    seen: set[str] = set()

    def draw(name: str, depth: int) -> None:
        if name in seen:
            return
        seen.add(name)
        indent = "  " * (min(depth, _DEEPEST) - 1) + "└▶" if depth else ""
        drawn.append(Branch(indent, by_name[name]))
        for follower in fed_by[name]:
            draw(follower, depth + 1)

    roots = [stage.name for stage in snapshot.stages if stage.kind == "source"]
    # The second pass reaches stages that only a cycle feeds.
    for name in (*roots, *by_name):
        draw(name, 0)
    return drawn
