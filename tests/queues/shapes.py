"""Small random pipelines whose every output can be told from its input.

An item is a string that carries its own history, so an oracle can recompute what each stage has
to emit for it and notice one that is lost, doubled or made up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal
from zlib import crc32

from pipeline_runner.queues.broker.topology import EdgeSpec, StageSpec, Topology

Way = Literal["copy", "tags", "crawl"]
Mishap = Literal["ok", "flaky", "raises", "poison"]
Routed = tuple[tuple[str, ...], str]  # the edges an item goes to, and the item

_DEEPEST = 2  # links a crawled item may be away from its first page

# name: edges, then how a stage with several edges chooses among them
_GRAPHS: dict[str, tuple[tuple[tuple[str, str], ...], dict[str, Way]]] = {
    "short": ((("s", "a"),), {}),
    "chain": ((("s", "a"), ("a", "b")), {}),
    "copies": ((("s", "a"), ("a", "b"), ("a", "c")), {"a": "copy"}),
    "source copies": ((("s", "a"), ("s", "b")), {"s": "copy"}),
    "tags": ((("s", "a"), ("a", "b"), ("a", "c")), {"a": "tags"}),
    "fan-in": ((("s", "a"), ("t", "a")), {}),
    "diamond": ((("s", "a"), ("s", "b"), ("a", "c"), ("b", "c")), {"s": "tags"}),
    "cycle": ((("s", "a"), ("a", "a"), ("a", "b")), {"a": "crawl"}),
    "long cycle": ((("s", "a"), ("a", "b"), ("b", "a"), ("b", "c")), {"b": "crawl"}),
}


def graph(
    links: tuple[tuple[str, str], ...], *, capacity: int | None = 10_000, **stage: Any
) -> Topology:
    """A topology of ``links`` whose edges are named "source->target"."""
    edges = {f"{a}->{b}": EdgeSpec(f"{a}->{b}", a, b, capacity) for a, b in links}
    names = dict.fromkeys(name for link in links for name in link)
    stages = {
        name: StageSpec(
            name,
            tuple(e.name for e in edges.values() if e.target == name),
            tuple(e.name for e in edges.values() if e.source == name),
            **stage,
        )
        for name in names
    }
    return Topology(stages, edges)


@dataclass(frozen=True)
class Shape:
    """A topology, how many items each source process has, and what becomes of every item."""

    name: str
    seed: int
    topology: Topology
    ways: dict[str, Way]
    totals: dict[tuple[str, int], int]
    trouble: int = 8  # one item in so many is flaky, raises or kills; 0 for none
    window: int = 1  # ranges of an edge in memory
    memory_bytes: int = 1 << 62
    _emitted: dict[tuple[str, str], list[Routed]] = field(default_factory=dict)

    def dice(self, *words: str) -> int:
        """A number that only the seed and ``words`` decide."""
        return crc32(f"{self.seed}:{':'.join(words)}".encode())

    def sequence(self, stage: str, index: int) -> list[str]:
        """What a source process yields, in order."""
        return [f"{stage}{index}.{k}" for k in range(self.totals[stage, index])]

    def mishap(self, stage: str, item: str) -> Mishap:
        """What happens when ``stage`` is called with ``item``."""
        dice = self.dice(stage, item, "mishap")
        if not self.trouble or dice % self.trouble:
            return "ok"
        return ("flaky", "raises", "poison")[dice // self.trouble % 3]

    def route(self, stage: str, item: str) -> Routed:
        """Where a source's item, or an output, goes."""
        edges = self.topology.stages[stage].outputs
        if self.ways.get(stage) == "tags":
            return (edges[self.dice(stage, item, "tag") % len(edges)],), item
        return edges, item

    def emits(self, stage: str, item: str) -> list[Routed]:
        """The pure function of a stage: what it makes of ``item``."""
        key = (stage, item)
        if key not in self._emitted:
            self._emitted[key] = self._emit(stage, item)
        return self._emitted[key]

    def _emit(self, stage: str, item: str) -> list[Routed]:
        edges = self.topology.stages[stage].outputs
        if not edges:
            return []
        dice = self.dice(stage, item, "emits")
        if self.ways.get(stage) == "crawl":
            inner = self.topology.inner[stage]
            back = tuple(edge for edge in edges if edge in inner)
            out = tuple(edge for edge in edges if edge not in inner)
            links = dice % 4 if item.count("/") < _DEEPEST else 0
            return [(out, f"{item}!"), *((back, f"{item}/{k}") for k in range(links))]
        copies = 1 if dice % 4 else dice // 4 % 3
        return [self.route(stage, f"{item}{stage}{k}") for k in range(copies)]


def random_shape(seed: int) -> Shape:
    """Return the pipeline of ``seed``."""
    rng = Random(f"shape {seed}")
    name = rng.choice(tuple(_GRAPHS))
    links, ways = _GRAPHS[name]
    plain = graph(
        links,
        capacity=rng.choice((1, 2, 3, 8, 10_000)),
        attempts=rng.choice((1, 2, 3, 4)),
        backoff_s=rng.choice((0.0, 0.5, 2.0)),
        on_failure=rng.choice(("dead-letter", "dead-letter", "drop")),
        rate=rng.choice((None, None, None, 20.0)),
    )
    edges = {
        edge.name: edge
        if rng.random() < 0.8
        else EdgeSpec(edge.name, edge.source, edge.target, None, rng.choice((40, 200, 2000)))
        for edge in plain.edges.values()
    }
    topology = Topology(plain.stages, edges)
    sources = [stage.name for stage in topology.stages.values() if stage.is_source]
    totals = {
        (stage, index): rng.randint(0, 14)
        for stage in sources
        for index in range(rng.choice((1, 1, 2)))
    }
    return Shape(
        name,
        seed,
        topology,
        ways,
        totals,
        rng.choice((0, 5, 8)),
        rng.choice((1, 1, 2, 5, 10_000)),
        rng.choice((0, 1_500, 1 << 62)),
    )
