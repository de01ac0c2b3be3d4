"""What went through each edge and failed at each stage, since the run began.

The counts a person sees. They grow with each step that becomes durable, and so outlive a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.queues.broker.ranges import size

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.transaction import Transaction


class Through(msgspec.Struct, array_like=True):
    """Items of one edge: published, ``emitted`` to it first of all edges, consumed, and gone."""

    published: int = 0
    emitted: int = 0
    consumed: int = 0
    settled: int = 0


class FailureCounts(msgspec.Struct, array_like=True):
    """Attempts of one stage that failed, and items that it dropped."""

    failed: int = 0
    dropped: int = 0


class Counters(msgspec.Struct):
    """The counts of a run, by edge and by stage."""

    edges: dict[str, Through] = {}
    stages: dict[str, FailureCounts] = {}

    def add(self, step: Transaction, times: int = 1) -> None:
        """Count ``step``; with ``times`` -1, take it back."""
        for name, _body, spans in step.consumed:
            edge, items = self._edge(name), size(spans)
            edge.consumed += items * times
            edge.settled += items * times
        for letter in step.letters:
            if letter.edge:
                self._edge(letter.edge).settled += times
        for names, body in step.produced:
            for name in names:
                self._edge(name).published += body.n * times
            self._edge(names[0]).emitted += body.n * times
        for name, dropped in step.failed:
            stage = self.stages.get(name)
            if stage is None:
                stage = self.stages[name] = FailureCounts()
            stage.failed += times
            stage.dropped += dropped * times

    def _edge(self, name: str) -> Through:
        edge = self.edges.get(name)
        if edge is None:
            edge = self.edges[name] = Through()
        return edge
