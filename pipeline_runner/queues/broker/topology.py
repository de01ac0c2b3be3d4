"""The graph as the broker needs it: stages, edges, and the components that cycles make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """An edge and its bound, in items or in bytes of bodies."""

    name: str
    source: str
    target: str
    capacity_items: int | None = 10_000
    capacity_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class StageSpec:
    """What the broker must know of a stage. ``rate`` is in items a second."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attempts: int = 3
    backoff_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 60.0
    on_failure: Literal["dead-letter", "drop", "stop"] = "dead-letter"
    rate: float | None = None
    is_source: bool = field(init=False)  # no edge leads in

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_source", not self.inputs)

    def retry_s(self, attempts: int) -> float:
        """Return how long an item waits after its ``attempts``-th failure, in seconds."""
        return min(self.backoff_s * self.factor ** (attempts - 1), self.cap_s)


@dataclass(frozen=True)
class Topology:
    """Stages and edges by name, in file order; ``component`` holds each stage's companions."""

    stages: dict[str, StageSpec]
    edges: dict[str, EdgeSpec]
    component: dict[str, frozenset[str]] = field(init=False)
    inner: dict[str, tuple[str, ...]] = field(init=False)  # edges inside the stage's cycle

    def __post_init__(self) -> None:
        reach = {name: self._reachable(name) for name in self.stages}
        component = {
            name: frozenset(other for other in reach[name] if name in reach[other]) | {name}
            for name in self.stages
        }
        object.__setattr__(self, "component", component)
        object.__setattr__(self, "inner", {name: self._inner(name) for name in self.stages})

    def _reachable(self, start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for edge in self.stages[ahead.pop()].outputs:
                target = self.edges[edge].target
                if target not in seen:
                    seen.add(target)
                    ahead.append(target)
        return seen

    def _inner(self, stage: str) -> tuple[str, ...]:
        members = self.component[stage]
        return tuple(
            edge.name
            for edge in self.edges.values()
            if edge.source in members and edge.target in members
        )


def topology_of(pipeline: Pipeline) -> Topology:
    """Return the graph of a validated pipeline."""
    stages = {
        name: StageSpec(
            name=name,
            inputs=tuple(edge.name for edge in pipeline.inputs(name)),
            outputs=tuple(edge.name for edge in pipeline.outputs(name)),
            attempts=stage.retry.attempts,
            backoff_s=stage.retry.backoff,
            factor=stage.retry.factor,
            cap_s=stage.retry.cap,
            on_failure=stage.on_failure,
            rate=stage.rate_limit,
        )
        for name, stage in pipeline.stages.items()
    }
    edges = {
        edge.name: EdgeSpec(
            name=edge.name,
            source=edge.from_,
            target=edge.to,
            capacity_items=edge.capacity_items,
            capacity_bytes=edge.capacity_bytes,
        )
        for edge in pipeline.edges
    }
    return Topology(stages, edges)
