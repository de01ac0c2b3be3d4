"""The broker's state and the few moves that keep its sums right.

An item is in exactly one place: an edge's queue, a lease (live or settling), or gone. Every move
between those places is a method here, so that ``remaining``, ``leased`` and the bodies' reference
counts cannot drift apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.effects import Commit
from pipeline_runner.queues.broker.leases import Lease, WorkerRecord
from pipeline_runner.queues.broker.paged_out import PagedOut
from pipeline_runner.queues.broker.pager import Pager
from pipeline_runner.queues.broker.ranges import Range, size, subtract
from pipeline_runner.queues.broker.sizing import RateLimit
from pipeline_runner.queues.broker.sources import SourceState
from pipeline_runner.queues.broker.stages import EdgeState, StageState, wire
from pipeline_runner.queues.broker.transaction import PagedBody
from pipeline_runner.wire.messages import MOST_ITEM

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.counters import Counters
    from pipeline_runner.queues.broker.effects import Effect, Pending
    from pipeline_runner.queues.broker.paged_out import DurableBacklog, DurableState
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.topology import Topology
    from pipeline_runner.queues.broker.transaction import Body
    from pipeline_runner.wire.shm.slots import Slots

_EPOCH_SHIFT = 40  # tokens of an epoch never run into the next one's
_BESIDE_BYTES = 400  # what a body in memory takes beside its own bytes, with a range of it


class BrokerState:
    """Stages, edges, bodies, workers and leases, and what is still to be told to the shell."""

    def __init__(
        self, topology: Topology, *, run: str, epoch: int, durable: DurableState | None, window: int
    ) -> None:
        self.topology = topology
        self.run = run
        self.epoch = epoch
        self.edges = {name: EdgeState(spec) for name, spec in topology.edges.items()}
        self.stages = {name: StageState(spec) for name, spec in topology.stages.items()}
        wire(topology, self.stages, self.edges)
        for stage in self.stages.values():
            if stage.spec.rate is not None:
                stage.limit = RateLimit(stage.spec.rate)
        self.workers: dict[str, WorkerRecord] = {}
        self.sessions: dict[int, WorkerRecord] = {}
        self.leases: dict[int, Lease] = {}
        self.bodies: dict[int, Body | PagedBody] = {}
        self.memory_bytes = 1 << 62  # so much of bodies fits
        self.most_item = MOST_ITEM  # bytes, encoded
        self.held_bytes = 0
        self.window = Pager(self, durable, window)
        self.slots: Slots | None = None  # of the memory shared with this host's workers
        self._references: dict[int, int] = {}
        self.effects: list[Effect] = []
        self.dirty: dict[str, None] = {}  # stages whose parked claims may be served now
        self.maybe_finished = True
        self.named: frozenset[str] = frozenset()  # releases that slots name
        self.awaits_hosts = False  # one that is cut off may still run any release
        self.ending = False  # some source has ended: an empty edge may now mean the end
        self.wake_at: float | None = None  # when something falls due that no message brings
        self.next_body = 1
        self.next_letter = 1
        self.parked: dict[str, DurableBacklog] = {}  # durable, on edges that the file has no more
        self._next_token = (epoch << _EPOCH_SHIFT) + 1
        self._next_session = (epoch << _EPOCH_SHIFT) + 1
        if durable is not None:
            self._restore(durable)

    def _restore(self, durable: DurableState) -> None:
        for name, backlog in durable.backlogs().items():
            if name not in self.edges:
                self.parked[name] = backlog
                continue
            edge = self.edges[name]
            edge.remaining = backlog.items
            edge.bytes = backlog.size_bytes
            edge.measure(int(backlog.size_bytes), backlog.items)
            edge.published = backlog.items  # at least
            edge.queue.tail = PagedOut(backlog.numbers, backlog.items)
            self.window.read_ahead(edge)
        for (stage, index), cursor in durable.cursors.items():
            if stage in self.stages:
                source = SourceState(cursor, cursor.seq, cursor.finished)
                self.stages[stage].sources[index] = source
        for name in durable.dead.values():
            if name in self.stages:
                self.stages[name].dead += 1
        self._count(durable.tally)
        self.next_body, self.next_letter = durable.next_body, durable.next_letter

    def _count(self, tally: Counters) -> None:
        for name, through in tally.edges.items():
            edge = self.edges.get(name)
            if edge is not None:
                edge.published, edge.settled = through.published, through.settled
                edge.source.emitted += through.emitted
                edge.target.consumed += through.consumed
        for name, faults in tally.stages.items():
            stage = self.stages.get(name)
            if stage is not None:
                stage.failed, stage.dropped = faults.failed, faults.dropped

    def alarm(self, due: float) -> None:
        """Ask the shell to call ``tick`` at ``due``, or earlier."""
        if self.wake_at is None or due < self.wake_at:
            self.wake_at = due

    def may_be_read(self, stage: str, tried: frozenset[str]) -> bool:
        """Whether a worker of a release that is none of ``tried`` is here, or may come."""
        if self.awaits_hosts or self.named - tried:
            return True
        return any(one.stage == stage and one.release not in tried for one in self.workers.values())

    def offer_unread(self) -> None:
        """Offer what nobody is left to read to whoever is here: it fails for good there."""
        for edge in self.edges.values():
            target = edge.spec.target
            kept = []
            for item, tried in edge.queue.unread:
                if self.may_be_read(target, tried):
                    kept.append((item, tried))
                else:
                    edge.queue.push(item)
                    self.dirty[target] = None
            edge.queue.unread = kept

    def new_session(self) -> int:
        """Return a session number never used before."""
        self._next_session += 1
        return self._next_session

    def lease(self, worker: WorkerRecord, edge: str, item: Range) -> Lease:
        """Put a range that was just taken off a queue into a worker's hands."""
        self._next_token += 1
        lease = Lease(
            self._next_token,
            worker,
            edge,
            item.body,
            ((item.lo, item.hi),),
            item.attempts,
            item.suspect,
        )
        if item.suspect:
            worker.met_suspect = True
        self.leases[lease.token] = lease
        worker.leases[lease.token] = lease
        if edge:
            self.stages[worker.stage].leased += item.hi - item.lo
        return lease

    def took(self, edge: EdgeState, item: Range) -> None:
        """Record that ``item`` left a queue: there is room for more."""
        body = self.bodies[item.body]
        edge.bytes -= body.size * (item.hi - item.lo) / body.n
        if edge.queue.tail:
            self.window.read_ahead(edge)
        for stage in edge.feeders:
            if stage.waits_for_room:
                stage.waits_for_room = False
                self.dirty[stage.spec.name] = None

    def give_back(self, lease: Lease, spans: Spans, *, front: bool = True) -> None:
        """Return live indexes of a lease to their queue as they were, uncharged."""
        lease.live = subtract(lease.live, spans)
        if lease.edge:
            edge = self.edges[lease.edge]
            body = self.bodies[lease.body]
            for lo, hi in reversed(spans):
                edge.queue.push(
                    Range(lease.body, lo, hi, lease.attempts, lease.suspect), front=front
                )
                edge.bytes += body.size * (hi - lo) / body.n
            self.stages[lease.worker.stage].leased -= size(spans)
        self.dirty[lease.worker.stage] = None
        self.discard_if_empty(lease)

    def settling(self, lease: Lease, spans: Spans) -> None:
        """Move live indexes out of everybody's reach until their transaction is durable."""
        lease.live = subtract(lease.live, spans) if spans != lease.live else ()
        lease.settling += size(spans)
        if lease.worker.parked is not None:
            # Its claim ahead may have waited for empty hands, as beside or before a suspect.
            self.dirty[lease.worker.stage] = None

    def commit(self, pending: Pending) -> None:
        """Have a step made durable; one that gives a source up, after all that it builds on."""
        if pending.step.source is not None:
            stage, index, _cursor = pending.step.source
            if not self.stages[stage].source(index).add(pending):
                return
        self.effects.append(Commit(pending))

    def discard_if_empty(self, lease: Lease) -> None:
        """Forget a lease that has nothing left, and what was staged under it."""
        if lease.live or lease.settling:
            return
        self.leases.pop(lease.token, None)
        lease.worker.leases.pop(lease.token, None)
        if not lease.edge:
            self._release_source(lease)

    def _release_source(self, lease: Lease) -> None:
        stage = self.stages[lease.worker.stage]
        source = stage.source(lease.worker.index)
        if source.lease == lease.token:
            source.lease = 0
        self.unpromise(stage, lease)
        self.dirty[lease.worker.stage] = None

    def unpromise(self, stage: StageState, lease: Lease) -> None:
        """Take back a source's leave to emit: its items have come, or never will."""
        for name in stage.spec.outputs if lease.credit else ():
            self.edges[name].promised -= lease.credit
        lease.credit = 0

    def publish(self, edges: tuple[str, ...], body: Body) -> None:
        """Make a committed body's items claimable on each of ``edges``."""
        size_bytes, n = body.size, body.n
        in_memory = 0
        for name in edges:
            edge = self.edges[name]
            if self.window.is_past(edge, body):
                edge.queue.tail.add(body.id, n)
            else:
                edge.queue.push(Range(body.id, 0, n))
                in_memory += n
            edge.remaining += n
            edge.measure(size_bytes, n)
            edge.published += n
            edge.bytes += size_bytes
            self.dirty[edge.spec.target] = None
        if not in_memory:
            self.free(body)
        elif self.window.past is None or self.fits(body):
            self.hold(body, in_memory)
        else:
            self.hold(self.window.past.put(body), in_memory)
            self.free(body)

    @property
    def room_bytes(self) -> int:
        """The memory that is left for bodies; below 0 where it does not suffice."""
        return self.memory_bytes - self.held_bytes

    def fits(self, body: Body) -> bool:
        """Whether there is memory for one more body."""
        return body.size + _BESIDE_BYTES <= self.room_bytes

    def hold(self, body: Body | PagedBody, items: int) -> None:
        """Keep a body for ``items`` more of it that came into memory."""
        held = self._references.get(body.id)
        if held is None:
            self.bodies[body.id] = body
            self.held_bytes += _cost(body)
        self._references[body.id] = (held or 0) + items

    def publish_again(self, edge: str, body: Body) -> None:
        """Queue items that had left their edge as dead letters."""
        self.edges[edge].remaining += body.n
        self.put_back(edge, body, Range(body.id, 0, body.n))

    def put_back(self, edge: str, body: Body, item: Range, due: float = 0.0) -> None:
        """Queue all of a new body that was made of items of others; with ``due``, from then on."""
        past = self.window.past
        self.hold(body if past is None or self.fits(body) else past.put(body), body.n)
        state = self.edges[edge]
        state.bytes += body.size
        if due:
            state.queue.push_later(item, due)
            self.alarm(due)
        else:
            state.queue.push(item)
            self.dirty[state.spec.target] = None

    def gone(self, edge: str, body: int, items: int) -> None:
        """Record items as consumed for good; a body goes with its last one."""
        state = self.edges[edge]
        state.remaining -= items
        state.settled += items
        self.let_go(body, items)
        if not state.remaining and self.ending:
            self.maybe_finished = True

    def let_go(self, body: int, items: int) -> None:
        """Need so many items of a body no longer; with its last one it goes."""
        left = self._references[body] - items
        if left:
            self._references[body] = left
        else:
            del self._references[body]
            spent = self.bodies.pop(body)
            self.held_bytes -= _cost(spent)
            if not isinstance(spent, PagedBody):
                self.free(spent)

    def free(self, body: Body) -> None:
        """Let go of the place of a body that nobody reads any more."""
        if body.at and self.slots is not None:
            self.slots.free(body.at)

    def place_for(self, worker: WorkerRecord) -> int:
        """Grant a place to a worker that makes large outputs; 0 for none."""
        return self.slots.take(worker.id) if self.slots is not None and worker.emits_large else 0

    def no_longer_leased(self, lease: Lease, items: int) -> None:
        """Take settled items out of the lease's and the stage's counts."""
        lease.settling -= items
        if lease.edge:
            self.stages[lease.worker.stage].leased -= items
        self.discard_if_empty(lease)


def _cost(body: Body | PagedBody) -> int:
    return _BESIDE_BYTES if isinstance(body, PagedBody) else body.size + _BESIDE_BYTES
