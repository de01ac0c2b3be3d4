"""STAGE: outputs that go ahead of their settle, and that nobody sees before it names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.transaction import Body

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.leases import WorkerRecord
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.wire.messages import Stage


def stage_ahead(state: BrokerState, worker: WorkerRecord, stage: Stage, data: bytes) -> None:
    """Keep an output with its lease; a repeated one, and one of no lease of its own, is ignored."""
    lease = state.leases.get(stage.token)
    edges = state.stages[worker.stage].spec.outputs
    if lease is None or lease.worker is not worker or stage.key in lease.staged:
        return
    if not stage.output.edges or not set(edges).issuperset(stage.output.edges):
        return
    body = Body(state.next_body, stage.output.n, data, worker.release)
    state.next_body += 1
    lease.staged[stage.key] = (stage.output.edges, body)
