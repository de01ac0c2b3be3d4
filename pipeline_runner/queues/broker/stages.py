"""The broker's books: one record for each stage and each edge, wired as the graph is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.edge_queue import EdgeQueue
from pipeline_runner.queues.broker.sizing import (
    BODY_BYTES,
    LONG_BODY_BYTES,
    LONG_BODY_ITEMS,
    MOST_ITEMS,
    RateLimit,
    ServiceTimes,
    grow,
    items_for,
    with_backlog,
)
from pipeline_runner.queues.broker.sources import SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.queues.broker.leases import WorkerRecord
    from pipeline_runner.queues.broker.topology import EdgeSpec, StageSpec, Topology

EDGE_BYTES = 64 * 1024**2  # what an edge holds, where its bound is a number of items


@dataclass(slots=True, eq=False)
class EdgeState:
    """One edge. ``remaining`` are the items on it that are not gone: queued, leased, settling."""

    spec: EdgeSpec
    queue: EdgeQueue = field(default_factory=EdgeQueue)
    remaining: int = 0
    published: int = 0
    settled: int = 0
    bytes: float = 0.0  # of the bodies' unclaimed share
    item_bytes: float = 1024.0  # mean size of the items published lately
    items_a_body: int = MOST_ITEMS  # that make BODY_BYTES; any number while their size is unknown
    promised: int = 0  # items that sources have leave to emit
    hint: int = 1
    source: StageState = field(init=False, repr=False)
    target: StageState = field(init=False, repr=False)
    feeders: tuple[StageState, ...] = field(init=False, repr=False)  # they may wait for its room
    is_entry: bool = False  # it leads into a cycle from outside

    @property
    def room(self) -> int:
        """Items that still fit, estimated from the mean size where the bound is in bytes."""
        spec, queue = self.spec, self.queue
        queued = queue.ready_items + queue.waiting_items + queue.tail.items
        # Ten thousand large items are more than a machine has: their number does not bound them.
        capacity_bytes = EDGE_BYTES if spec.capacity_bytes is None else spec.capacity_bytes
        fits = int((capacity_bytes - self.bytes) / self.item_bytes)
        if fits < 1 and not queued:  # an item larger than the whole bound has to pass all the same
            fits = 1
        if spec.capacity_items is not None and fits > spec.capacity_items - queued:
            fits = spec.capacity_items - queued
        return fits - self.promised

    @property
    def largest_body(self) -> int:
        """Two bodies should fit an edge, beside the two that producer and consumer work on."""
        capacity = self.spec.capacity_items
        if capacity is None:
            assert self.spec.capacity_bytes is not None
            capacity = int(self.spec.capacity_bytes / self.item_bytes)
        return max(1, min(MOST_ITEMS, capacity // 2, self.items_a_body))

    def measure(self, size_bytes: int, items: int) -> None:
        """Learn the size of the items from a body that was published."""
        each = max(1.0, size_bytes / items)
        self.item_bytes = each if not self.published else self.item_bytes * 0.8 + each * 0.2
        self.items_a_body = max(1, int(BODY_BYTES / self.item_bytes))

    def adapt(self, consumer: ServiceTimes) -> None:
        """Move the hint for the next body towards what its consumer can use."""
        wanted = items_for(consumer.mean_s, self.largest_body)
        long = min(LONG_BODY_ITEMS, self.largest_body, int(LONG_BODY_BYTES / self.item_bytes))
        if wanted < long:
            wanted = with_backlog(wanted, long, self.queue.ready_items + self.queue.tail.items)
        self.hint = grow(self.hint, wanted)


@dataclass(slots=True, eq=False)
class StageState:
    """One stage: its parked claims, its pace, its failures, and a source's cursors."""

    spec: StageSpec
    parked: deque[WorkerRecord] = field(default_factory=deque)
    service: ServiceTimes = field(default_factory=ServiceTimes)
    limit: RateLimit | None = None
    next_input: int = 0
    consumed: int = 0
    emitted: int = 0
    failed: int = 0
    dead: int = 0
    dropped: int = 0
    leased: int = 0
    finished: bool = False
    ends_told: int = 0
    paused: str = ""  # why no claim is granted
    waits_for_room: bool = False  # a claim of its was parked because an edge behind it is full
    sources: dict[int, SourceState] = field(default_factory=dict)
    source_count: int = 1
    inputs: tuple[EdgeState, ...] = field(init=False, repr=False)
    outputs: tuple[EdgeState, ...] = field(init=False, repr=False)
    gates: tuple[EdgeState, ...] = field(init=False, repr=False)  # edges out, but for its cycle's
    inner: tuple[EdgeState, ...] = field(init=False, repr=False)  # the edges inside its cycle

    def source(self, index: int) -> SourceState:
        """Return the share of process ``index``."""
        found = self.sources.get(index)
        if found is None:
            found = self.sources[index] = SourceState()
        return found

    def source_finished(self) -> bool:
        """Whether every process of a source said that it is through."""
        return all(self.source(index).cursor.finished for index in range(self.source_count))


def wire(
    topology: Topology, stages: Mapping[str, StageState], edges: Mapping[str, EdgeState]
) -> None:
    """Give each record the ones beside it: nobody looks for them by name later."""
    for name, stage in stages.items():
        members = topology.component[name]
        stage.inputs = tuple(edges[edge] for edge in stage.spec.inputs)
        stage.outputs = tuple(edges[edge] for edge in stage.spec.outputs)
        stage.gates = tuple(edge for edge in stage.outputs if edge.spec.target not in members)
        stage.inner = tuple(edges[edge] for edge in topology.inner[name])
    for edge in edges.values():
        edge.source, edge.target = stages[edge.spec.source], stages[edge.spec.target]
        members = topology.component[edge.spec.source]
        is_inside = edge.spec.target in members
        # Inside a cycle its entries wait for the whole.
        names = [name for name in stages if name in members] if is_inside else [edge.spec.source]
        edge.feeders = tuple(stages[name] for name in names)
        edge.is_entry = not is_inside and bool(edge.target.inner)
