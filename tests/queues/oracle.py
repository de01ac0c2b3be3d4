"""What must be true after every step, judged from the shape and the disk, not from the broker."""

from __future__ import annotations

from collections import Counter
from pickle import loads
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.ranges import size
from pipeline_runner.wire.codec import decode
from pipeline_runner.wire.messages import Granted, Settled
from pipeline_runner.wire.repack import name_of
from tests.queues.places import Broken, check_places, mask

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.effects import Pending, Send
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.transaction import Retry
    from pipeline_runner.worker.session.ledger import Holding
    from tests.queues.model_worker import ModelWorker
    from tests.queues.shapes import Routed
    from tests.queues.world import World

Slot = tuple[str, int, int]  # edge, body, index


class Oracle:
    """Watches one world. ``outcomes_only`` looks at the books' effects and not at each step."""

    def __init__(self, world: World, *, outcomes_only: bool = False) -> None:
        self._world = world
        self._strict = not outcomes_only
        self.durable_settles: set[tuple[int, int]] = set()
        self.guilt: Counter[Slot] = Counter()  # times an item failed, or could have been charged
        self.items: dict[int, list[str]] = {}  # of every durable body
        self.published: dict[str, Counter[str]] = {
            edge: Counter() for edge in world.shape.topology.edges
        }
        self.used: dict[str, Counter[str]] = {
            edge: Counter() for edge in world.shape.topology.edges
        }
        self.consumed: dict[str, Counter[str]] = {  # and not dropped
            edge: Counter() for edge in world.shape.topology.edges
        }
        self.given_up: set[tuple[str, int]] = set()  # sources that failed for good
        self.lost_values: set[str] = set()  # by a source that could not send them
        self.dead: dict[Slot, int] = {}
        self.names: dict[tuple[int, int], tuple[int, int]] = {}  # of what was retried elsewhere

    def failed(self, worker: ModelWorker, holding: Holding, index: int) -> None:
        """Note that an item's own call failed."""
        self.guilt[holding.edge, holding.body, index] += 1

    def killed(self, worker: ModelWorker, index: int) -> None:
        """Note the item that a death may be charged to, if there is just one."""
        holdings = list(worker.ledger.holdings.values())
        running = [h for h in holdings if worker.page in (h.token, -1)]
        if index >= 0 and worker.running is not None:
            holding = worker.ledger.holdings[worker.running[0]]
            self.guilt[holding.edge, holding.body, index] += 1
        elif sum(size(h.spans) for h in running) == 1 and running[0].edge:
            holding = running[0]
            self.guilt[holding.edge, holding.body, holding.spans[0][0]] += 1

    # ---- on every transaction that reaches the disk

    def applied(self, pending: Pending) -> None:
        """Judge a transaction just before the disk applies it."""
        step = pending.step
        made = [(edges, item) for edges, body in step.produced for item in self._decoded(body)]
        used: list[tuple[str, str]] = []
        for edge, body, spans in step.consumed:
            for lo, hi in spans:
                for index in range(lo, hi):
                    item = self.items[body][index]
                    self._use(edge, item)
                    if self._was_dropped(pending, edge, body, index):
                        self._must_be_guilty(edge, body, index, 1)
                        self._world.count["dropped"] += 1
                    else:
                        used.append((edge, item))
        if step.source is not None:
            self._advanced(pending, made)
        elif self._strict:
            self._settled(pending, used, made)
        for edges, item in made:
            for edge in edges:
                self.published[edge][item] += 1
                if self.published[edge][item] > 1:
                    raise Broken(f"{item} was published twice on {edge}")
        for edge, item in used:
            self.consumed[edge][item] += 1
        self._judge_charges(pending)
        if pending.worker is not None and pending.seq:
            self.durable_settles.add((pending.session, pending.seq))

    def _decoded(self, body: object) -> list[str]:
        number, data = body.id, body.data  # type: ignore[attr-defined]
        if number in self.items:
            raise Broken(f"body number {number} was used again")
        self.items[number] = decode(data)
        return self.items[number]

    def _use(self, edge: str, item: str) -> None:
        self.used[edge][item] += 1
        if self.used[edge][item] > 1:
            raise Broken(f"{item} on {edge} was consumed twice")

    def _settled(self, pending: Pending, used: list[tuple[str, str]], made: list[Routed]) -> None:
        """Outputs exist exactly where their inputs were consumed."""
        shape = self._world.shape
        expected = Counter(
            routed
            for edge, item in used
            for routed in shape.emits(shape.topology.edges[edge].target, item)
        )
        if expected != Counter(made):
            raise Broken(f"consumed {used}, published {made}, should have {dict(expected)}")
        for edge, body, spans in pending.step.consumed:
            self._must_be_there(edge, body, spans)

    def _was_dropped(self, pending: Pending, edge: str, body: int, index: int) -> bool:
        """Whether this consumed item went without outputs, for its last failure."""
        shape = self._world.shape
        spec = shape.topology.stages[shape.topology.edges[edge].target]
        if pending.worker is None:  # a death consumes nothing else
            return spec.on_failure == "drop"
        mishap = shape.mishap(shape.topology.edges[edge].target, self.items[body][index])
        if mishap != "flaky":
            return mishap != "ok"
        ranges = self._world.disk.durable.ranges.get((edge, body), ())
        return any(r.lo <= index < r.hi and r.attempts == 0 for r in ranges)

    def _must_be_there(self, edge: str, body: int, spans: Spans) -> None:
        ranges = self._world.disk.durable.ranges.get((edge, body), ())
        there = sum(mask(r.lo, r.hi) for r in ranges)
        for lo, hi in spans:
            if mask(lo, hi) & ~there:
                raise Broken(f"{edge}:{body}:{lo}-{hi} was consumed and is not on the disk")

    def _advanced(self, pending: Pending, made: list[Routed]) -> None:
        """A source's items come in their order, each once."""
        assert pending.step.source is not None
        stage, index, cursor = pending.step.source
        shape = self._world.shape
        before = self._world.disk.durable.cursors.get((stage, index))
        seq, count = (before.seq, before.count) if before is not None else (0, 0)
        lost = {letter.shown for letter in pending.step.letters if letter.shown}
        self.lost_values |= lost
        if self._strict:
            values = [
                v for v in shape.sequence(stage, index)[count : cursor.count] if v not in lost
            ]
            if Counter(made) != Counter(shape.route(stage, value) for value in values):
                raise Broken(f"{stage} {index} went {count}..{cursor.count} with {made}")
            if cursor.seq <= seq or cursor.count < count or (before and before.finished):
                raise Broken(f"the cursor of {stage} {index} went from {before} to {cursor}")
        if cursor.finished and any(not letter.shown for letter in pending.step.letters):
            self.given_up.add((stage, index))

    def _judge_charges(self, pending: Pending) -> None:
        disk = self._world.disk.durable
        for requeue in pending.step.requeued:
            item = requeue.range
            before = {
                (r.attempts, r.suspect)
                for r in disk.ranges.get((requeue.edge, item.body), ())
                if r.lo < item.hi and item.lo < r.hi
            }
            if len(before) != 1:
                raise Broken(f"{requeue} has no single past: {before}")
            attempts, suspect = before.pop()
            if item.attempts < attempts or suspect > item.suspect:
                raise Broken(f"{requeue} forgets what it went through")
            if item.attempts > attempts:
                self._must_be_guilty(requeue.edge, item.body, item.lo, item.attempts)
        for retry in pending.step.retried:
            self._judge_retry(retry)
        for letter in pending.step.letters:
            if not letter.edge:
                continue
            slot = (letter.edge, letter.held_in, letter.place)
            if (letter.body, letter.index) != self._name(*slot[1:]):
                raise Broken(f"{slot} has lost its name")
            if letter.item is None or loads(letter.item) != self.items[slot[1]][slot[2]]:
                raise Broken(f"{slot} has not the item of its letter")
            allowed = self._world.shape.topology.stages[letter.stage].attempts
            if letter.attempts != allowed or slot in self.dead:
                raise Broken(f"a letter after {letter.attempts} of {allowed} attempts: {slot}")
            self._must_be_guilty(*slot, letter.attempts)
            self.dead[slot] = letter.attempts
            self._use(letter.edge, self.items[letter.held_in][letter.place])

    def _judge_retry(self, retry: Retry) -> None:
        """What was charged goes to another body whole, as it was, under its name."""
        places = [
            (number, index)
            for number, spans in retry.taken
            for lo, hi in spans
            for index in range(lo, hi)
        ]
        for number, spans in retry.taken:
            self._must_be_there(retry.edge, number, spans)
        moved = self._decoded(retry.body)
        named = {
            name_of(retry.body.data, retry.body.id, place): place for place in range(len(moved))
        }
        for number, index in places:
            name = self._name(number, index)
            place = named.pop(name)
            if moved[place] != self.items[number][index]:
                raise Broken(f"{retry} has another item in the place of {name}")
            self.names[retry.body.id, place] = name
            guilt = self.guilt[retry.edge, number, index]
            self.guilt[retry.edge, retry.body.id, place] = guilt
            self._must_be_guilty(retry.edge, number, index, retry.attempts)
            before = {
                (r.attempts, r.suspect)
                for r in self._world.disk.durable.ranges[retry.edge, number]
                if r.lo <= index < r.hi
            }
            if before != {(retry.attempts - 1, False)}:
                raise Broken(f"{retry} forgets what {name} went through: {before}")
        if named:
            raise Broken(f"{retry} makes items of nothing: {named}")
        self._world.count["retried together"] += len(places) > 1

    def _name(self, body: int, index: int) -> tuple[int, int]:
        return self.names.get((body, index), (body, index))

    def _must_be_guilty(self, edge: str, body: int, index: int, attempts: int) -> None:
        if self._strict and self.guilt[edge, body, index] < attempts:
            raise Broken(
                f"{edge}:{body}:{index} was charged {attempts} times and failed "
                f"{self.guilt[edge, body, index]} times"
            )

    # ---- on every frame the broker sends

    def sent(self, send: Send) -> None:
        """Judge one answer against the disk."""
        message = send.message
        if not self._strict:
            return
        if isinstance(message, Settled) and message.ok:
            if (send.session, message.seq) not in self.durable_settles:
                raise Broken(f"settle {message.seq} was acknowledged and is not durable")
        elif isinstance(message, Granted) and message.edge:
            wanted = mask(message.lo, message.hi)
            there = 0
            for r in self._world.disk.durable.ranges.get((message.edge, message.body), ()):
                if (r.attempts, r.suspect) == (message.attempts, message.suspect):
                    there |= mask(r.lo, r.hi)
            if wanted & ~there:
                raise Broken(f"{message} was granted and is not durable")
            if message.suspect and message.hi - message.lo != 1:
                raise Broken(f"{message} has suspects in company")

    def ended(self, stage: str) -> None:
        """Judge the end of a stage: nothing durable may be left to come to it."""
        shape, disk = self._world.shape, self._world.disk.durable
        spec = shape.topology.stages[stage]
        left = [place for place in disk.ranges if place[0] in spec.inputs]
        open_shares = [
            share
            for share in shape.totals
            if share[0] == stage and not (share in disk.cursors and disk.cursors[share].finished)
        ]
        if left or open_shares:
            raise Broken(f"the end of {stage} was announced before {left or open_shares}")

    # ---- after every step

    def check(self) -> None:
        """Compare the broker's places with the disk, unless it has not heard of it all yet."""
        if self._strict and not self._world.disk.untold:
            check_places(self._world.broker.state, self._world.disk)

    def room(self, granted: list[Granted]) -> None:
        """No claim was granted past an edge that was full, judged after the step that did it."""
        topology, state = self._world.shape.topology, self._world.broker.state
        for message in granted if self._strict else ():
            lease = state.leases[message.token]
            stage = lease.worker.stage
            inner = topology.inner[stage]
            for name in topology.stages[stage].outputs:
                edge = state.edges[name]
                capacity = edge.spec.capacity_items
                if capacity is None or name in inner:
                    continue
                limit = capacity if topology.stages[stage].is_source else capacity - 1
                if edge.queue.queued > limit:
                    raise Broken(f"{stage} was granted work while {name} was full")
                if edge.queue.queued + edge.promised > capacity and edge.promised:
                    raise Broken(f"{name} has promised more room than it has")

    # ---- at the end

    def drained(self) -> None:
        """Everything is through: each hop saw each item once, or has a letter for it."""
        world = self._world
        shape = world.shape
        world.count["piece read ahead"] += world.disk.durable.pieces
        for stage, index in shape.totals:
            cursor = world.disk.durable.cursors.get((stage, index))
            given_up = (stage, index) in self.given_up
            if not given_up and (cursor is None or cursor.count != shape.totals[stage, index]):
                raise Broken(f"{stage} {index} ended at {cursor}")
        if world.disk.durable.ranges or world.disk.durable.bodies:
            raise Broken(f"left on the disk: {world.disk.durable.ranges}")
        for edge, published in self.published.items():
            if published != self.used[edge]:
                raise Broken(f"{edge}: {published - self.used[edge]} went nowhere")
        self._nothing_was_lost()
        for stage, times in world.finished.items():
            if times != 1:
                raise Broken(f"the end of {stage} was announced {times} times")

    def _nothing_was_lost(self) -> None:
        """Recompute every edge from the sources and what was consumed at each stage."""
        shape = self._world.shape
        expected: dict[str, Counter[str]] = {edge: Counter() for edge in shape.topology.edges}
        for stage, index in shape.totals:
            cursor = self._world.disk.durable.cursors.get((stage, index))
            for value in shape.sequence(stage, index)[: cursor.count if cursor else 0]:
                if value not in self.lost_values:
                    edges, item = shape.route(stage, value)
                    for edge in edges:
                        expected[edge][item] += 1
        for edge, items in self.consumed.items():
            for item in items:
                for edges, output in shape.emits(shape.topology.edges[edge].target, item):
                    for out in edges:
                        expected[out][output] += 1
        for edge, published in self.published.items():
            if published != expected[edge]:
                raise Broken(
                    f"{edge}: missing {expected[edge] - published}, "
                    f"too many {published - expected[edge]}"
                )
