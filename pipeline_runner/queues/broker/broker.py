"""The heart: leases with fencing tokens over ranges of opaque bodies, without any input or output.

Every method takes what arrived and ``now`` (seconds on any monotonic clock) and leaves its
decisions in :meth:`take`. The shell sends the ``Send``s, makes each ``Commit`` durable in order and
then calls :meth:`committed` or :meth:`refused`, at once or later. The same object runs in the head,
in one process for a debugger, and under thousands of simulated crashes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.admin import Admin
from pipeline_runner.queues.broker.adoptions import adopt as adopt_held
from pipeline_runner.queues.broker.claims import Claims
from pipeline_runner.queues.broker.effects import Send
from pipeline_runner.queues.broker.failures import Failures
from pipeline_runner.queues.broker.leases import WorkerRecord
from pipeline_runner.queues.broker.pager import RANGES
from pipeline_runner.queues.broker.pauses import Pauses
from pipeline_runner.queues.broker.ranges import intersect
from pipeline_runner.queues.broker.settles import Settles
from pipeline_runner.queues.broker.staging import stage_ahead
from pipeline_runner.queues.broker.state import BrokerState
from pipeline_runner.wire.messages import Adopted, Cursor, Session, Settle

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline_runner.queues.broker.effects import Effect, Pending
    from pipeline_runner.queues.broker.paged_out import DurableState
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.topology import Topology
    from pipeline_runner.queues.broker.transaction import Redrive
    from pipeline_runner.wire.messages import (
        Adopt,
        Claim,
        Died,
        Held,
        Hello,
        Return,
        Stage,
    )


class Broker:
    """One run of one pipeline. ``durable`` is what an earlier epoch left, and where more is kept.

    Of each edge about ``window`` ranges are in memory, the rest is read from there in time.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        run: str,
        epoch: int = 1,
        durable: DurableState | None = None,
        closed_until: float | None = None,
        window: int = RANGES,
    ) -> None:
        self.state = BrokerState(topology, run=run, epoch=epoch, durable=durable, window=window)
        self._pauses = Pauses(self.state)
        self._failures = Failures(self.state)
        self._claims = Claims(self.state)
        self._claims.closed_until = closed_until
        if closed_until is not None:
            self.state.alarm(closed_until)
            self.state.awaits_hosts = True
        self._settling = Settles(self.state, self._failures)
        self._admin = Admin(self.state, durable)
        self._durable: deque[tuple[Pending, float]] = deque()  # to be closed, and since when
        self._read: deque[tuple[WorkerRecord, Settle, bool, float]] = deque()

    def take(self) -> list[Effect]:
        """Return what was decided since the last call, in the order to carry it out.

        To be called until there is nothing more: what nobody waits for is decided last, when
        whoever has new items to work on has been told so.
        """
        state = self.state
        if not state.effects:
            self._catch_up()
        effects, state.effects = state.effects, []
        return effects

    def _catch_up(self) -> None:
        """Do the rest of what has begun, in order."""
        # A place that is free by now is the best one for who freed it: it is in that core's cache.
        while self._durable:
            self._close(*self._durable.popleft())
        while self._read:
            self._go_on(*self._read.popleft())

    def hello(self, hello: Hello, now: float) -> int:
        """Open a session for a worker and return its number; its older one is closed with it."""
        self._catch_up()
        state = self.state
        worker = state.workers.get(hello.worker)
        if worker is None:
            worker = WorkerRecord(
                hello.worker, hello.stage, hello.index, hello.host, hello.pid, 0, hello.release
            )
            state.workers[worker.id] = worker
        else:
            self.closed(worker.session)
        worker.session = state.new_session()
        worker.shares = hello.facts.get("shares", True)
        state.sessions[worker.session] = worker
        stage = state.stages[worker.stage]
        cursor = stage.source(worker.index).cursor if stage.spec.is_source else Cursor()
        slots = 0 if state.slots is None else state.slots.count
        message = Session(state.run, state.epoch, worker.session, cursor, slots, state.most_item)
        state.effects.append(Send(worker.session, message))
        self._serve(now)
        return worker.session

    def closed(self, session: int) -> None:
        """Record that a connection ended. It frees nothing: only a death or an ADOPT does."""
        self._catch_up()
        worker = self.state.sessions.pop(session, None)
        if worker is not None:
            self._claims.cancel(worker)

    def claim(self, session: int, claim: Claim, now: float) -> None:
        """Grant up to ``claim.want`` items, now or when they can be had."""
        self._catch_up()
        worker = self.state.sessions[session]
        self._claims.cancel(worker)
        self._claims.claim(worker, claim, now)
        self._serve(now)

    def settle(
        self, session: int, settle: Settle, data: Sequence[bytes | memoryview], now: float
    ) -> None:
        """Consume inputs and publish outputs, all or nothing, then serve the claim with it."""
        self._catch_up()
        worker = self.state.sessions[session]
        self._failures.now = now
        accepted = self._settling.settle(worker, settle, data)
        self._read.append((worker, settle, accepted, now))

    def _go_on(self, worker: WorkerRecord, settle: Settle, accepted: bool, now: float) -> None:
        if accepted and settle.items:
            self.state.stages[worker.stage].service.add(settle.items, settle.busy_s)
        if settle.claim is not None:
            self._claims.cancel(worker)
            self._claims.claim(worker, settle.claim, now)
        self._serve(now)

    def stage(self, session: int, stage: Stage, data: bytes) -> None:
        """Keep outputs that go ahead of their settle; a repeated one is ignored."""
        stage_ahead(self.state, self.state.sessions[session], stage, data)

    def unusable(self, session: int, message: Settle | Stage | None, why: str, now: float) -> None:
        """Charge what a settle took, or outputs ahead of one, whose content cannot be taken.

        Without a message, all that the worker holds. Of several items none can be told to be at
        fault: they go back as suspects, to be run singly; an item that was alone is a dead letter
        with the reason, and a source has failed once.
        """
        self._catch_up()
        worker = self.state.sessions.get(session)
        if worker is None:
            return
        self._failures.now = now
        self._settling.unusable(worker, message, why)
        if isinstance(message, Settle) and message.claim is not None:
            self._claims.cancel(worker)
            self._claims.claim(worker, message.claim, now)
        self._serve(now)

    def return_(self, session: int, message: Return, now: float) -> None:
        """Take indexes back uncharged; as suspects when a batch of them raised."""
        self._catch_up()
        worker = self.state.sessions[session]
        lease = self.state.leases.get(message.token)
        if lease is None or lease.worker is not worker:
            return
        spans = lease.live if message.spans is None else intersect(lease.live, message.spans)
        if spans and message.suspect and lease.edge:
            self._failures.suspect(lease, spans)
        else:
            self.state.give_back(lease, spans)
        self._serve(now)

    def died(self, died: Died, now: float) -> None:
        """Free what a dead process held; call it after its connection was read to the end."""
        self._catch_up()
        worker = self.state.workers.pop(died.worker, None)
        if worker is None:
            return
        self.closed(worker.session)
        self._failures.now = now
        self._failures.died(worker, died)
        if self.state.slots is not None:
            self.state.slots.leave(worker.id)
        self.state.offer_unread()
        self._serve(now)

    def releases(self, named: Collection[str], now: float, *, cut: bool = False) -> None:
        """Say which releases slots name, and whether a host that is ``cut`` off may run another.

        What no worker here can decode waits for one of those, and is a dead letter without any.
        """
        self.state.named, self.state.awaits_hosts = frozenset(named), cut
        self.state.offer_unread()
        self._serve(now)

    def lost(self, host: str, now: float) -> None:
        """Free, uncharged, what every worker of a silent host held."""
        self._catch_up()
        for worker in tuple(self.state.workers.values()):
            if worker.host == host:
                del self.state.workers[worker.id]
                self.closed(worker.session)
                self._free_all(worker)
                if self.state.slots is not None:
                    self.state.slots.abandon(worker.id)
        self.state.offer_unread()
        self._serve(now)

    def adopt(self, session: int, adopt: Adopt, now: float) -> None:
        """Give a worker that reconnected what it still holds and may keep; free all the rest."""
        self._catch_up()
        worker = self.state.sessions[session]
        self._free_all(worker)
        if self.state.slots is not None:
            self.state.slots.leave(worker.id)
        adopted = [
            self._adopt(worker, held) if adopt.run == self.state.run else (0, ())
            for held in adopt.held
        ]
        self.state.effects.append(Send(session, Adopted(adopt.seq, tuple(adopted))))
        self._serve(now)

    def committed(self, pending: Pending, now: float) -> None:
        """Let a durable transaction be seen."""
        if pending.request:
            self._admin.committed(pending)
        else:
            self._failures.now = now
            self._settling.publish(pending)
            self._durable.append((pending, now))
        self._serve(now)

    def _close(self, pending: Pending, now: float) -> None:
        self._settling.close(pending)
        if pending.step.letters:
            self._admin.dead_lettered(pending.step.letters)
        self._serve(now)

    def refused(self, pending: Pending, now: float) -> None:
        """Undo a transaction that could not be made durable."""
        if pending.request:
            self._admin.refused(pending)
        else:
            self._settling.refused(pending)
        self._serve(now)

    def retry(
        self, request: int, letters: Mapping[int, Redrive], earlier: Sequence[Redrive] = ()
    ) -> tuple[int, ...]:
        """Put dead letters' items back on their edges, attempts forgotten; ``earlier`` runs' too.

        Returns those that are dead letters now; with any, an ``Amended`` follows once it is
        durable. The others are none any more: nothing is put back twice.
        """
        return self._admin.close(request, letters, earlier)

    def drop(self, request: int, letters: Collection[int]) -> tuple[int, ...]:
        """Forget dead letters for good; answers like :meth:`retry`."""
        return self._admin.close(request, dict.fromkeys(letters))

    def purge(self, request: int, edge: str) -> int:
        """Take off an edge what nobody holds and return how many; answers like :meth:`retry`."""
        if edge in self.state.parked:
            return self._admin.purge_parked(request, edge)
        return self._admin.purge(request, edge)

    @property
    def adopting(self) -> bool:
        """Whether nothing is granted yet: after a restart, workers adopt first what they hold."""
        return self._claims.closed_until is not None

    @property
    def wake_at(self) -> float | None:
        """When :meth:`tick` has something to do, or None."""
        return self.state.wake_at

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._catch_up()
        self._claims.expire(now)
        self._serve(now)

    def open(self, now: float) -> None:
        """Grant again after a restart: every known host has adopted."""
        self._claims.open()
        self._serve(now)

    def pause(self, reason: str, now: float, *, sources_only: bool = True) -> None:
        """Grant nothing more to the sources, or to any stage; an empty reason resumes."""
        self._pauses.pause(reason, sources_only=sources_only)
        self._serve(now)

    def hold_outputs(self, reason: str, now: float) -> None:
        """Grant nothing to stages that make something new to keep; an empty reason resumes them."""
        self._pauses.hold_outputs(reason)
        self._serve(now)

    def processes(self, stage: str, count: int) -> None:
        """Say over how many processes a source is spread: all have to finish."""
        self.state.stages[stage].source_count = count
        self.state.maybe_finished = True

    def _free_all(self, worker: WorkerRecord) -> None:
        for lease in tuple(worker.leases.values()):
            if lease.live:
                self.state.give_back(lease, lease.live)

    def _adopt(self, worker: WorkerRecord, held: Held) -> tuple[int, Spans]:
        return adopt_held(self.state, worker, held)

    def _serve(self, now: float) -> None:
        if self.state.maybe_finished:
            self._claims.finish_stages()
        if self.state.dirty:
            self._claims.serve_parked(now)
