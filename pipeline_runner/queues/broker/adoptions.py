"""ADOPT: what a worker names after a reconnect, and may keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.ranges import Range, union

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.leases import WorkerRecord
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.wire.messages import Held


def adopt(state: BrokerState, worker: WorkerRecord, held: Held) -> tuple[int, Spans]:
    """Lease to ``worker`` what of ``held`` is free and unchanged; return the token and the indexes.

    The token is 0 where it may keep nothing.
    """
    edge = state.edges.get(held.edge)
    if edge is None or edge.spec.target != worker.stage:
        return 0, ()
    state.window.fetch(edge, held.body)
    spans = edge.queue.adopt(held.body, held.spans, held.attempts, suspect=held.suspect)
    if not spans:
        return 0, ()
    leases = [Range(held.body, lo, hi, held.attempts, held.suspect) for lo, hi in spans]
    for item in leases:
        state.took(edge, item)
    lease = state.lease(worker, held.edge, leases[0])
    for item in leases[1:]:
        lease.live = union(lease.live, ((item.lo, item.hi),))
        edge.target.leased += item.hi - item.lo
    return lease.token, spans
