"""Which claim gets what, and when: gates, rates, suspects, sources' leave to emit, the end.

Backpressure lives here and only here: a claim waits while the edges behind it are full; a settle
never does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.effects import Finished, Send
from pipeline_runner.queues.broker.leases import MOST_UNANSWERED
from pipeline_runner.queues.broker.ranges import Range
from pipeline_runner.queues.broker.sizing import with_backlog
from pipeline_runner.queues.broker.transaction import Body
from pipeline_runner.wire.messages import Empty, End, Granted

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.leases import WorkerRecord
    from pipeline_runner.queues.broker.stages import EdgeState, StageState
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.wire.messages import Claim

_NO_LIMIT = 1 << 30


class Claims:
    """Serves claims from the books; those that cannot be served are parked there."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self.closed_until: float | None = None  # after a restart, until every host has adopted

    def claim(self, worker: WorkerRecord, claim: Claim, now: float) -> None:
        """Serve a claim now, or park it until something can be had."""
        stage = self._state.stages[worker.stage]
        if not self._serve(stage, worker, claim, now):
            worker.parked = claim
            worker.parked_until = None
            if claim.wait_s is not None:
                worker.parked_until = now + claim.wait_s
                self._state.alarm(worker.parked_until)
            stage.parked.append(worker)

    def cancel(self, worker: WorkerRecord) -> None:
        """Forget a worker's parked claim."""
        if worker.parked is not None:
            worker.parked = None
            self._state.stages[worker.stage].parked.remove(worker)

    def serve_parked(self, now: float) -> None:
        """Serve what can be served after a change, and what that change opens in turn."""
        state = self._state
        while state.dirty:
            name = next(iter(state.dirty))
            del state.dirty[name]
            stage = state.stages[name]
            for worker in tuple(stage.parked):
                claim = worker.parked
                assert claim is not None
                if self._serve(stage, worker, claim, now):
                    worker.parked = None
                    stage.parked.remove(worker)
            if state.maybe_finished:
                self.finish_stages()

    def expire(self, now: float) -> None:
        """Answer claims whose patience ran out, wake what is due, set the alarm for the rest."""
        state = self._state
        state.wake_at = None
        if self.closed_until is not None:
            if now >= self.closed_until:
                self.open()
            else:
                state.alarm(self.closed_until)
        for stage in state.stages.values():
            self._expire_claims(stage, now)
            if stage.limit is not None and stage.parked:
                state.dirty[stage.spec.name] = None
            for source in stage.sources.values():
                if source.not_before > now:
                    state.alarm(source.not_before)
                elif source.not_before:
                    source.not_before = 0.0
                    state.dirty[stage.spec.name] = None
        for edge in state.edges.values():
            if edge.queue.wake(now):
                state.dirty[edge.spec.target] = None
            if edge.queue.waiting:
                state.alarm(edge.queue.waiting[0][0])

    def _expire_claims(self, stage: StageState, now: float) -> None:
        for worker in tuple(stage.parked):
            if worker.parked is None or worker.parked_until is None:
                continue
            if worker.parked_until <= now:
                self._send(worker, Empty(worker.parked.seq))
                self.cancel(worker)
            else:
                self._state.alarm(worker.parked_until)

    def open(self) -> None:
        """Grant again after a restart."""
        self.closed_until = None
        self._state.dirty.update(dict.fromkeys(self._state.stages))

    def finish_stages(self) -> None:
        """Announce the end of every stage that nothing can reach any more."""
        self._state.maybe_finished = False
        changed = True
        while changed:
            changed = False
            for stage in self._state.stages.values():
                if not stage.finished and self._is_over(stage):
                    stage.finished = self._state.ending = True
                    changed = True
                    self._state.effects.append(Finished(stage.spec.name))
                    self._state.dirty[stage.spec.name] = None

    def _is_over(self, stage: StageState) -> bool:
        if stage.spec.is_source:
            return stage.source_finished()
        members = self._state.topology.component[stage.spec.name]
        for member in members:
            for name in self._state.stages[member].spec.inputs:
                edge = self._state.edges[name]
                if edge.remaining:
                    return False
                feeder = edge.spec.source
                if feeder not in members and not self._state.stages[feeder].finished:
                    return False
        return True

    def _serve(self, stage: StageState, worker: WorkerRecord, claim: Claim, now: float) -> bool:
        if stage.finished:
            self._send(worker, End(claim.seq))
            worker.told_end = True
            stage.ends_told += 1
            return True
        if self.closed_until is not None or stage.paused:
            return False
        if worker.met_suspect and worker.holds_suspect():
            return False
        if worker.unanswered >= MOST_UNANSWERED:  # nobody else bounds what waits for the disk
            return False
        allowed = _NO_LIMIT
        if stage.limit is not None:
            allowed = stage.limit.available(now)
            if allowed < 1:
                self._state.alarm(stage.limit.due())
                return False
        if stage.spec.is_source:
            return self._grant_source(stage, worker, claim, allowed, now)
        return self._grant_items(stage, worker, claim, allowed)

    def _grant_items(
        self, stage: StageState, worker: WorkerRecord, claim: Claim, allowed: int
    ) -> bool:
        inputs = stage.inputs
        for turn in range(len(inputs)):  # fan-in is served round robin
            place = (stage.next_input + turn) % len(inputs)
            edge = inputs[place]
            queue = edge.queue
            if not queue.ready_items and not queue.unread:
                continue
            room = self._room(stage, edge)
            if room < 1:
                stage.waits_for_room = True
                continue
            if queue.unread:
                found = queue.pop_readable(worker.release, alone=worker.holds_nothing())
                if found is not None:
                    self._state.took(edge, found[0])
                    self._send_lease(stage, worker, claim, edge.spec.name, *found)
                    return True
                if not queue.ready_items:
                    continue
            # As many as come in, and go out again if each makes one, as a body of usual size.
            want = claim.want
            if claim.most > want:
                want = with_backlog(want, claim.most, queue.ready_items)
            want = min(want, allowed, room, edge.items_a_body)
            for out in stage.outputs:
                want = min(want, out.items_a_body)
            item = queue.pop(max(1, want), alone=not queue.suspects or worker.holds_nothing())
            if item is None:
                continue
            stage.next_input = place + 1
            self._state.took(edge, item)
            self._send_lease(stage, worker, claim, edge.spec.name, item)
            return True
        return False

    def _send_lease(
        self,
        stage: StageState,
        worker: WorkerRecord,
        claim: Claim,
        edge: str,
        item: Range,
        unread: frozenset[str] = frozenset(),
    ) -> None:
        state = self._state
        lease = state.lease(worker, edge, item)
        if unread:
            lease.unread = unread
        body = state.bodies[item.body]
        if stage.limit is not None:
            stage.limit.spend(item.hi - item.lo)
        at = body.at if isinstance(body, Body) else 0
        data = None if claim.have == body.id and not at else body.data
        message = Granted(
            claim.seq,
            lease.token,
            edge,
            body.id,
            item.lo,
            item.hi,
            body.n,
            0 if data is None else len(data),
            item.attempts,
            item.suspect,
            body.release,
            _hints(stage) if stage.outputs else (),
            at,
            state.place_for(worker) if worker.emits_large and stage.outputs else 0,
        )
        state.effects.append(Send(worker.session, message, data))

    def _grant_source(
        self, stage: StageState, worker: WorkerRecord, claim: Claim, allowed: int, now: float
    ) -> bool:
        source = stage.source(worker.index)
        if source.cursor.finished:
            self._send(worker, End(claim.seq))
            worker.told_end = True
            return True
        if source.ended or source.not_before > now or not self._may_hold(source.lease, worker):
            return False
        edges = stage.outputs
        room = min((edge.room for edge in edges), default=_NO_LIMIT)
        credit = min((edge.hint for edge in edges), default=claim.want)
        # A trickle of room would make a trickle of tiny bodies: wait for a useful piece.
        if room < min((min(edge.hint, edge.largest_body) for edge in edges), default=1):
            stage.waits_for_room = True
            return False
        credit = max(1, min(credit, room, allowed))
        lease = self._state.lease(worker, "", Range(0, 0, 1))
        lease.credit = credit
        source.lease = lease.token
        for edge in edges:
            edge.promised += credit
        if stage.limit is not None:
            stage.limit.spend(credit)
        grant = Granted(
            claim.seq,
            lease.token,
            "",
            0,
            0,
            credit,
            credit,
            0,
            hints=_hints(stage),
            place=self._state.place_for(worker),
        )
        self._send(worker, grant)
        return True

    def _may_hold(self, token: int, worker: WorkerRecord) -> bool:
        """A source's share has one holder; its own earlier lease may still be settling."""
        held = self._state.leases.get(token)
        return held is None or held.worker is worker

    def _room(self, stage: StageState, edge: EdgeState) -> int:
        """How many items a claim through ``edge`` may take, judged by the edges behind it.

        On a cycle only a claim that enters from outside is gated, by the sum of the inner
        capacities: gating an inner claim would stop the very stage that empties the queue.
        """
        room = _NO_LIMIT
        for out in stage.gates:
            room = min(room, out.room)
        if edge.is_entry:
            room = min(room, sum([inner.room for inner in stage.inner]))
        return room

    def _send(self, worker: WorkerRecord, message: Granted | Empty | End) -> None:
        self._state.effects.append(Send(worker.session, message))


def _hints(stage: StageState) -> tuple[int, ...]:
    outs = stage.outputs
    return (outs[0].hint,) if len(outs) == 1 else tuple([out.hint for out in outs])
