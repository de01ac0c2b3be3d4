"""Brokers with a bug in them: a simulator that passes the real one has to see each of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.claims import Claims
from pipeline_runner.queues.broker.effects import Commit, Pending, Send
from pipeline_runner.queues.broker.failures import Failures
from pipeline_runner.queues.broker.ranges import Range, intersect, union
from pipeline_runner.queues.broker.settles import Settles
from pipeline_runner.queues.broker.transaction import Body, Transaction
from pipeline_runner.wire.messages import Settled
from pipeline_runner.worker.session.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.broker.leases import Lease, WorkerRecord
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.sources import SourceState
    from pipeline_runner.queues.broker.stages import EdgeState, StageState
    from pipeline_runner.wire.messages import Adopt, Adopted, Cursor, Died, Held, Settle
    from pipeline_runner.worker.session.ledger import Owed


def _outputs(broker: Broker, settle: Settle, data: Sequence[bytes]) -> Pending:
    """A transaction of nothing but a settle's outputs."""
    step = Transaction()
    for output, part in zip(settle.outputs, data, strict=True):
        step.produced.append((output.edges, Body(broker.state.next_body, output.n, part)))
        broker.state.next_body += 1
    return Pending(step)


class EmitsBeforeAck(Broker):
    """Publishes outputs at once, whatever becomes of the settle."""

    def settle(self, session: int, settle: Settle, data: Sequence[bytes], now: float) -> None:
        if settle.advance is None and settle.outputs:
            self.state.effects.append(Commit(_outputs(self, settle, data)))
            settle, data = replace(settle, outputs=()), ()
        super().settle(session, settle, data, now)


class AcksBeforeEmit(Broker):
    """Consumes the input in one transaction and publishes the outputs in the next."""

    def settle(self, session: int, settle: Settle, data: Sequence[bytes], now: float) -> None:
        if settle.advance is not None or not settle.outputs:
            super().settle(session, settle, data, now)
            return
        before = sum(isinstance(effect, Commit) for effect in self.state.effects)
        super().settle(session, replace(settle, outputs=()), (), now)
        after = sum(isinstance(effect, Commit) for effect in self.state.effects)
        if after > before:
            self.state.effects.append(Commit(_outputs(self, settle, data)))


class AcksBeforeDurable(Broker):
    """Acknowledges a settle as soon as it was read."""

    def settle(self, session: int, settle: Settle, data: Sequence[bytes], now: float) -> None:
        self.state.effects.append(Send(session, Settled(settle.seq, ok=True)))
        super().settle(session, settle, data, now)


class GetsDestructively(Broker):
    """What was handed out is gone: nothing in a dead worker's hands comes back."""

    def _free_all(self, worker: WorkerRecord) -> None:
        for lease in tuple(worker.leases.values()):
            if lease.live and lease.edge:
                step = Transaction(consumed=[(lease.edge, lease.body, lease.live)])
                pending = Pending(step, settling=[(lease, lease.live)])
                self.state.settling(lease, lease.live)
                self.state.effects.append(Commit(pending))
        super()._free_all(worker)

    def died(self, died: Died, now: float) -> None:
        worker = self.state.workers.get(died.worker)
        if worker is not None:
            self._free_all(worker)
        super().died(died, now)


class PublishesBeforeDurable(Broker):
    """Rule 2: outputs can be claimed while their settle is on its way to the disk."""

    def settle(self, session: int, settle: Settle, data: Sequence[bytes], now: float) -> None:
        super().settle(session, settle, data, now)
        for effect in self.state.effects:
            if isinstance(effect, Commit):
                for edges, body in effect.pending.step.produced:
                    if body.id not in self.state.bodies:
                        self.state.publish(edges, body)
        self._serve(now)


class EndsBeforeDurable(Broker):
    """Rule 3: an item that is settling does not count as remaining."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._claims.__class__ = _HastyGranting

    def settle(self, session: int, settle: Settle, data: Sequence[bytes], now: float) -> None:
        self.state.maybe_finished = True
        super().settle(session, settle, data, now)


class _HastyGranting(Claims):
    def _is_over(self, stage: StageState) -> bool:
        settling = [
            (self._state.edges[lease.edge], lease.settling)
            for lease in self._state.leases.values()
            if lease.edge
        ]
        for edge, items in settling:
            edge.remaining -= items
        over = super()._is_over(stage)
        for edge, items in settling:
            edge.remaining += items
        return over


class SettlesInPart(Broker):
    """Rule 5: applies the indexes that are still the sender's, with all the outputs."""

    def settle(self, session: int, settle: Settle, data: Sequence[bytes], now: float) -> None:
        worker = self.state.sessions[session]
        done = []
        for one in settle.done:
            lease = self.state.leases.get(one.token)
            if lease is not None and lease.worker is worker:
                spans = one.spans and intersect(lease.live, one.spans)
                done.append(replace(one, spans=spans))
        super().settle(session, replace(settle, done=tuple(done)), data, now)


class AdoptsLeniently(Broker):
    """Rule 10: hands out an item though its attempts are no longer those that are named."""

    def _adopt(self, worker: WorkerRecord, held: Held) -> tuple[int, Spans]:
        for attempts in range(5):
            for suspect in (False, True):
                kept = super()._adopt(worker, replace(held, attempts=attempts, suspect=suspect))
                if kept[0]:
                    lease = self.state.leases[kept[0]]
                    lease.attempts, lease.suspect = held.attempts, held.suspect
                    return kept
        return 0, ()


class AdoptsOnlyWhatIsNamed(Broker):
    """Rule 9: leaves with the worker what its ADOPT does not name."""

    _adopting: Adopt | None = None

    def adopt(self, session: int, adopt: Adopt, now: float) -> None:
        self._adopting = adopt
        super().adopt(session, adopt, now)
        self._adopting = None

    def _free_all(self, worker: WorkerRecord) -> None:
        if self._adopting is None:
            super()._free_all(worker)
            return
        named = {(held.edge, held.body) for held in self._adopting.held}
        for lease in tuple(worker.leases.values()):
            if lease.live and (lease.edge, lease.body) in named:
                self.state.give_back(lease, lease.live)


class ReusesBodyNumbers(Broker):
    """Rule 11: forgets the high-water mark with the last body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state.next_body = max(self.state.bodies, default=0) + 1


class FreesWhatIsSettling(Broker):
    """Rule 14: a death gives back what a settle already took."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken: dict[int, Spans] = {}
        settling = self.state.settling

        def remember(lease: Lease, spans: Spans) -> None:
            self._taken[lease.token] = union(self._taken.get(lease.token, ()), spans)
            settling(lease, spans)

        self.state.settling = remember  # type: ignore[method-assign]

    def died(self, died: Died, now: float) -> None:
        worker = self.state.workers.get(died.worker)
        for lease in tuple(worker.leases.values()) if worker is not None else ():
            if lease.settling and lease.edge:
                for lo, hi in self._taken.get(lease.token, ()):
                    item = Range(lease.body, lo, hi, lease.attempts, lease.suspect)
                    self.state.edges[lease.edge].queue.push(item)
        super().died(died, now)


class ChargesTheFirst(Broker):
    """Rule 15: charges one of several items that could have been the one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failures.__class__ = _HastyBlame


class _HastyBlame(Failures):
    def _guilty(self, running: list[Lease], died: Died) -> tuple[Lease, int] | None:
        return running[0], running[0].live[0][0]


class StepsWithoutCompare(Broker):
    """Rule 17: takes any step of a source."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settling.__class__ = _CarelessSettling


class _CarelessSettling(Settles):
    def _advances(self, worker: WorkerRecord, settle: Settle) -> bool:
        return True


class KeepsRefusedLeases(Broker):
    """Rule 17: a refused source keeps its other leases, and its branches can meet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settling.__class__ = _ForgivingSettling


class _ForgivingSettling(Settles):
    def _free_source(self, worker: WorkerRecord) -> Cursor | None:
        return self._cursor(worker)


class ResendsAll(Ledger):
    """Rule 13: sends every settle again, also one of which only a part was adopted."""

    def adopted(self, answer: Adopted) -> list[Owed]:
        leases = iter(answer.leases)
        before, self.holdings = self.holdings, {}
        owed_before, self.owed = self.owed, {}
        for holding in before.values():
            self._hold(holding, *next(leases))
        again: list[Owed] = []
        for owed in owed_before.values():
            tokens = [next(leases)[0] for _taken in owed.taken]
            spans = {taken.token: taken.spans for taken in owed.taken}
            done = tuple(
                replace(one, spans=one.spans or spans[one.token]) for one in owed.settle.done
            )
            owed.settle = replace(owed.settle, done=done)
            if any(tokens):
                again.append(self._renamed(owed, tokens))
        return again


class StepsWithoutForerunner(Broker):
    """Rule 17: a source's step is made durable though the one that it builds on was not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settling.__class__ = _HastySettling


class _HastySettling(Settles):
    def _rewind(self, source: SourceState, pending: Pending) -> None:
        behind = list(source.steps)[1:]
        super()._rewind(source, pending)
        for step in behind:
            step.step.builds_on = source.cursor.seq


class GatesInsideCycles(Broker):
    """Rule 19: a full back edge stops the very stage that empties it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._claims.__class__ = _TimidGranting


class _TimidGranting(Claims):
    def _room(self, stage: StageState, edge: EdgeState) -> int:
        return min((self._state.edges[name].room for name in stage.spec.outputs), default=1 << 30)
