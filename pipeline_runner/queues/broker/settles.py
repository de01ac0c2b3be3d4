"""SETTLE: check the whole, move it out of reach, make it durable, then let its outputs be seen.

All or nothing: one index that is no longer the sender's refuses the settle whole, so that a
function's outputs exist if and only if its input was consumed, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.effects import Commit, Pending, Send
from pipeline_runner.queues.broker.leases import MOST_UNANSWERED
from pipeline_runner.queues.broker.ranges import intersect, size, subtract, union, well_formed
from pipeline_runner.queues.broker.transaction import Body, Transaction
from pipeline_runner.wire.messages import Cursor, Failure, Settle, Settled, Stage
from pipeline_runner.wire.shm.slots import LARGE_BYTES, SLOT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.broker.failures import Failures
    from pipeline_runner.queues.broker.leases import Lease, WorkerRecord
    from pipeline_runner.queues.broker.ranges import Span, Spans
    from pipeline_runner.queues.broker.sources import SourceState
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.wire.messages import Output

REFUSED = "refused"  # the cause of a failure: the head could not take what came of the item


class Settles:
    """Turns settles into transactions, and durable transactions into queued items."""

    def __init__(self, state: BrokerState, blame: Failures) -> None:
        self._state = state
        self._failures = blame

    def settle(
        self, worker: WorkerRecord, settle: Settle, data: Sequence[bytes | memoryview]
    ) -> bool:
        """Validate ``settle``; start its transaction, or refuse it whole and return False."""
        state = self._state
        taken = self._taken(worker, settle)
        if taken is None or not self._outputs_fit(worker, settle):
            self._refuse(worker, settle)
            return False
        step = Transaction()
        pending = Pending(step, worker, worker.session, settle.seq)
        worker.unanswered += 1
        if settle.failed:
            self._failures.charge_all(step, settle.failed, worker)
        for token, spans in taken.items():
            self._take(state.leases[token], spans, settle, pending)
        for output, part in zip(settle.outputs, data, strict=True):
            held = self._placed(worker, output) if output.at else part
            worker.emits_large = worker.shares and output.size >= LARGE_BYTES
            body = Body(state.next_body, output.n, held, worker.release, output.at)
            state.next_body += 1
            step.produced.append((output.edges, body))
        failed_for_good = step.source is not None
        if settle.advance is not None:
            step.builds_on = settle.advance.expected
            self._promise(worker, settle.advance.next, pending, ended=failed_for_good)
        else:
            pending.gives_up = failed_for_good
        state.commit(pending)
        return True

    def _placed(self, worker: WorkerRecord, output: Output) -> memoryview:
        """Return the bytes of an output that lies in shared memory, the body's from now on."""
        assert self._state.slots is not None
        return self._state.slots.fill(worker.id, output.at, output.size)

    def _promise(
        self, worker: WorkerRecord, after: Cursor, pending: Pending, *, ended: bool
    ) -> None:
        """Take a source's step: the next one has to build on it."""
        source = self._state.stages[worker.stage].source(worker.index)
        if ended and not after.finished:
            after = Cursor(after.seq, after.count, after.mark, finished=True)
        source.seq, source.ended = after.seq, after.finished
        pending.step.source = (worker.stage, worker.index, after)

    def unusable(self, worker: WorkerRecord, message: Settle | Stage | None, why: str) -> None:
        """Charge what ``message`` took, or all that the worker holds, and refuse the message."""
        is_source = self._state.stages[worker.stage].spec.is_source
        taken = _named(message)
        spans = {
            token: lease.live
            if taken is None
            else intersect(lease.live, taken[token] or lease.live)
            for token, lease in tuple(worker.leases.items())
            if lease.live and (taken is None or token in taken)
        }
        if is_source or sum(map(size, spans.values())) == 1:
            failed = tuple(
                Failure(token, part[0][0] if part else 0, why, "", REFUSED, final=not is_source)
                for token, part in spans.items()
                if part
            )[:1]
            if failed:
                self.settle(worker, Settle(0, (), failed=failed), ())
        else:
            for token, part in spans.items():
                if part:
                    self._failures.suspect(self._state.leases[token], part)
        if isinstance(message, Settle):
            cursor = self._free_source(worker)
            answer = Settled(message.seq, ok=False, cursor=cursor)
            self._state.effects.append(Send(worker.session, answer))

    def publish(self, pending: Pending) -> None:
        """Let what a durable transaction made be seen: outputs, and changed attempts."""
        step = pending.step
        for edges, body in step.produced:
            self._state.publish(edges, body)
        if step.requeued or step.retried or step.letters:
            self._failures.committed(step)

    def close(self, pending: Pending) -> None:
        """Enter the rest of a durable transaction in the books, and acknowledge its settle."""
        state, step = self._state, pending.step
        for lease, spans in pending.settling:
            state.no_longer_leased(lease, size(spans))
        for edge, number, spans in step.consumed:
            items = size(spans)
            state.gone(edge, number, items)
            state.edges[edge].target.consumed += items
        if step.source is not None:
            self._advance(pending, *step.source)
        for edges, body in step.produced:
            state.edges[edges[0]].source.emitted += body.n
            for name in edges:
                out = state.edges[name]
                out.adapt(out.target.service)
        self._acknowledge(pending, ok=True)

    def refused(self, pending: Pending) -> None:
        """Undo a transaction that could not be made durable: its inputs are queued again."""
        state = self._state
        if pending.void:
            return
        if pending.retryable:
            state.effects.append(Commit(pending))
            return
        for lease, spans in pending.settling:
            lease.settling -= size(spans)
            lease.live = union(lease.live, spans)
            state.give_back(lease, spans)
        if pending.worker is not None:
            self._hand_back(pending, pending.worker)
            self._free_source(pending.worker)
        self._acknowledge(pending, ok=False)
        if pending.step.source is not None:
            stage, index, _cursor = pending.step.source
            self._rewind(state.stages[stage].source(index), pending)

    def _hand_back(self, pending: Pending, worker: WorkerRecord) -> None:
        """Give a worker its places back, unless it has stopped counting on them."""
        slots = self._state.slots
        for _edges, body in pending.step.produced:
            if body.at and slots is not None:
                if self._state.workers.get(worker.id) and worker.session == pending.session:
                    slots.refuse(worker.id, body.at)
                else:
                    slots.free(body.at)

    def _rewind(self, source: SourceState, pending: Pending) -> None:
        """Refuse what was built on a step that failed, as its store will: it would skip items."""
        if not source.steps or source.steps[0] is not pending:
            return
        behind = list(source.steps)[1:]
        source.steps.clear()
        source.seq, source.ended = source.cursor.seq, False
        for step in behind:
            if step.retryable:
                source.seq, source.ended = source.cursor.seq + 1, True
                self._state.commit(step)
            else:
                self.refused(step)
                step.void = True

    def _taken(self, worker: WorkerRecord, settle: Settle) -> dict[int, Spans] | None:
        """Return the indexes the settle takes from each lease, or None if any is not its own."""
        taken: dict[int, Spans] = {}
        for done in settle.done:
            lease = self._state.leases.get(done.token)
            if lease is None or lease.worker is not worker or done.token in taken:
                return None
            spans = lease.live if done.spans is None else done.spans
            if not spans or (spans is not lease.live and not _within(spans, lease.live)):
                return None
            taken[done.token] = spans
        failed: dict[int, list[Span]] = {}
        for failure in settle.failed:
            lease = self._state.leases.get(failure.token)
            one = (failure.index, failure.index + 1)
            if lease is None or lease.worker is not worker or not _within((one,), lease.live):
                return None
            failed.setdefault(failure.token, []).append(one)
        for token, ones in failed.items():
            before = taken.get(token, ())
            spans = taken[token] = union(before, tuple(ones))
            # A source may lose several values at once; of an edge each index goes one way.
            if self._state.leases[token].edge and size(spans) != size(before) + len(ones):
                return None
        return taken if taken and self._advances(worker, settle) else None

    def _advances(self, worker: WorkerRecord, settle: Settle) -> bool:
        stage = self._state.stages[worker.stage]
        if not stage.spec.is_source:
            return settle.advance is None
        if settle.advance is None:  # nothing emitted: the process only failed
            return bool(settle.failed) and not settle.outputs
        step, source = settle.advance, stage.source(worker.index)
        return not source.ended and step.expected == source.seq and step.next.seq > step.expected

    def _outputs_fit(self, worker: WorkerRecord, settle: Settle) -> bool:
        edges = self._state.stages[worker.stage].spec.outputs
        for output in settle.outputs:
            names = output.edges
            if not names or output.n < 1 or (len(names) > 1 and len(set(names)) < len(names)):
                return False
            for name in names:
                if name not in edges:
                    return False
            if output.at and not self._place_fits(worker, settle, output):
                return False
        if not settle.staged:
            return True
        staged = {key for done in settle.done for key in self._state.leases[done.token].staged}
        return staged.issuperset(settle.staged)

    def _place_fits(self, worker: WorkerRecord, settle: Settle, output: Output) -> bool:
        slots = self._state.slots
        return (
            slots is not None
            and output.at in slots.hand(worker.id)
            and 0 < output.size <= SLOT_BYTES
            and sum(other.at == output.at for other in settle.outputs) == 1
        )

    def _take(self, lease: Lease, spans: Spans, settle: Settle, pending: Pending) -> None:
        for key in settle.staged:
            if key in lease.staged:
                pending.step.produced.append(lease.staged.pop(key))
        consumed = spans
        if settle.failed:
            failed = [(f.index, f.index + 1) for f in settle.failed if f.token == lease.token]
            consumed = subtract(spans, tuple(failed))
        if lease.edge and consumed:
            pending.step.consumed.append((lease.edge, lease.body, consumed))
        if lease.credit:
            self._refund(lease, settle, pending)
        self._state.settling(lease, spans)
        pending.settling.append((lease, spans))

    def _refund(self, lease: Lease, settle: Settle, pending: Pending) -> None:
        stage = self._state.stages[lease.worker.stage]
        if stage.limit is not None:
            emitted = sum(output.n for output in settle.outputs)
            emitted += sum(body.n for _edges, body in pending.step.produced)  # staged before
            stage.limit.refund(max(0, lease.credit - emitted))

    def _refuse(self, worker: WorkerRecord, settle: Settle) -> None:
        named = [(done.token, done.spans) for done in settle.done]
        named += [
            (failure.token, ((failure.index, failure.index + 1),)) for failure in settle.failed
        ]
        for token, spans in named:
            lease = self._state.leases.get(token)
            if lease is not None and lease.worker is worker:
                mine = lease.live if spans is None else intersect(lease.live, spans)
                self._state.give_back(lease, mine)
        cursor = self._free_source(worker)
        self._state.effects.append(
            Send(worker.session, Settled(settle.seq, ok=False, cursor=cursor))
        )

    def _free_source(self, worker: WorkerRecord) -> Cursor | None:
        """Take a refused source's other leases too, and return where it has to go on from.

        Sequence numbers of two branches can meet: a settle built on the refused one could pass
        for one built on another that was applied. Only a lease that is granted after the refusal,
        and so heard after it, is used from the right cursor.
        """
        if not self._state.stages[worker.stage].spec.is_source:
            return None
        for lease in tuple(worker.leases.values()):
            if lease.live:
                self._state.give_back(lease, lease.live)
        return self._cursor(worker)

    def _advance(self, pending: Pending, stage: str, index: int, cursor: Cursor) -> None:
        source = self._state.stages[stage].source(index)
        if cursor.count > source.cursor.count:
            source.failures = 0
        source.cursor = cursor
        source.steps.remove(pending)
        if source.steps and source.steps[0].gives_up:
            source.end(source.steps[0])
            self._state.effects.append(Commit(source.steps[0]))
        if cursor.finished:
            self._state.maybe_finished = True
            self._state.dirty[stage] = None

    def _cursor(self, worker: WorkerRecord) -> Cursor | None:
        stage = self._state.stages[worker.stage]
        return stage.source(worker.index).cursor if stage.spec.is_source else None

    def _acknowledge(self, pending: Pending, *, ok: bool) -> None:
        worker = pending.worker
        if worker is not None and worker.unanswered:
            worker.unanswered -= 1
            if worker.parked is not None and worker.unanswered == MOST_UNANSWERED - 1:
                self._state.dirty[worker.stage] = None
        # After a reconnect the worker asks again with ADOPT, and is answered there.
        if worker is not None and pending.seq and worker.session == pending.session:
            cursor = self._cursor(worker)
            message = Settled(pending.seq, ok, cursor)
            self._state.effects.append(Send(worker.session, message))


def _named(message: Settle | Stage | None) -> dict[int, Spans | None] | None:
    """Return the indexes that a message names of each lease, None for all of it."""
    if message is None:
        return None
    if isinstance(message, Stage):
        return {message.token: message.spans}
    named: dict[int, Spans | None] = {}
    for failure in message.failed:
        one = ((failure.index, failure.index + 1),)
        named[failure.token] = union(named.get(failure.token) or (), one)
    for done in message.done:
        before = named.get(done.token)
        named[done.token] = None if done.spans is None else union(before or (), done.spans)
    return named


def _within(spans: Spans, live: Spans) -> bool:
    return well_formed(spans) and not subtract(spans, live)
