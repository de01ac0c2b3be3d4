"""A worker process as the simulator runs it: the real ledger, and user code that misbehaves."""

from __future__ import annotations

import pickle
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.broker.ranges import size, union
from pipeline_runner.wire.codec import decode, encode
from pipeline_runner.wire.messages import (
    Adopted,
    Cursor,
    Done,
    Empty,
    End,
    Failure,
    Granted,
    Hello,
    Output,
    Return,
    Session,
    Settled,
    Stage,
)
from tests.queues.desk import owe

if TYPE_CHECKING:
    from random import Random

    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.wire.messages import Claim
    from pipeline_runner.worker.session.ledger import Holding, Ledger
    from tests.queues.shapes import Routed
    from tests.queues.world import World

RUNS_ALL = -1


@dataclass(eq=False)
class Connection:
    """Two pipes of frames. The worker may be gone from its end before the head notices."""

    up: deque[tuple[Any, Any]] = field(default_factory=deque)
    down: deque[tuple[Any, Any]] = field(default_factory=deque)
    session: int = 0
    cut: bool = False  # the worker no longer reads or writes here
    over: bool = False  # the head has closed it, or read its end


@dataclass(slots=True)
class Outcome:
    """What became of one call: its outputs, or why it failed."""

    outputs: list[Routed]
    error: str = ""


class ModelWorker:
    """One process. ``page`` is what its agent would read after its death."""

    def __init__(self, world: World, name: str, stage: str, index: int, host: str) -> None:
        self.world = world
        self.name, self.stage, self.index, self.host = name, stage, index, host
        self.is_source = world.shape.topology.stages[stage].is_source
        self.ledger: Ledger = world.make_ledger("")
        self.connection: Connection | None = None
        self.state = "cut"  # hello, adopting, ready
        self.asked = False  # a claim is on its way
        self.ended = False
        self.alive = True
        self.draining = False
        self.page = 0
        self.running: tuple[int, tuple[int, ...]] | None = None  # a token and indexes of it
        self.ran: dict[int, dict[int, Outcome]] = {}
        self.items: dict[int, list[str]] = {}  # decoded bodies
        self.cursor = Cursor()
        self.credit: dict[int, int] = {}
        self.met = False

    def __repr__(self) -> str:
        return self.name

    # ---- the wire

    @property
    def has_news(self) -> bool:
        """Whether a frame from the head, or its end of the connection, waits to be noticed."""
        return self.connection is not None and bool(self.connection.down or self.connection.over)

    def connect(self) -> None:
        """Dial the head and say HELLO."""
        self.connection = Connection()
        self.world.connections.append(self.connection)
        self.state, self.asked = "hello", False
        self.send(Hello("worker", self.host, self.name, self.stage, self.index, 1))

    def hung_up(self) -> None:
        """Notice that the connection is gone."""
        self.connection, self.state, self.asked = None, "cut", False

    def send(self, message: Any, data: Any = None) -> None:
        """Put a frame on the wire to the head."""
        assert self.connection is not None
        self.connection.up.append((message, data))

    def receive(self, message: Any, data: Any) -> None:
        """Take one frame from the head."""
        match message:
            case Session():
                self._begin(message)
            case Adopted():
                self._adopted(message)
            case Granted():
                self.asked = False
                if data is not None:
                    self.items[message.body] = decode(data)
                self.ledger.granted(message)
                if not message.edge:
                    self.credit[message.token] = message.hi
            case Settled():
                self._settled(message)
            case Empty():
                self.asked = False
            case End():
                self.asked, self.ended = False, True

    def _begin(self, message: Session) -> None:
        self.ledger.run = self.ledger.run or message.run
        self.cursor = message.cursor
        if not self.met:
            self.met, self.state = True, "ready"
            return
        self.state = "adopting"
        self.send(self.ledger.adopt())
        self.world.count["adopt"] += 1

    def _adopted(self, message: Adopted) -> None:
        asked = {token for token, _spans in message.leases}
        if asked - {0}:
            self.world.count["adopt kept something"] += 1
        if 0 in asked:
            self.world.count["adopt lost something"] += 1
        self.ran, self.page, self.running, self.credit = {}, 0, None, {}
        for owed in self.ledger.adopted(message):
            self.world.count["settle sent again"] += 1
            self.send(owed.settle, owed.data)
        self.state = "ready"

    def _settled(self, message: Settled) -> None:
        cursor = self.ledger.settled(message)
        if message.ok:
            return
        self.world.count["settle refused"] += 1
        if cursor is not None:
            self.rewind(cursor)

    def rewind(self, cursor: Cursor) -> None:
        """Go back to where a refusal says the source durably is."""
        self.cursor = cursor
        for token in list(self.ledger.holdings):
            self.send(Return(token))
            self.ledger.returned(token)

    # ---- what it does when it is scheduled

    def act(self, rng: Random, *, eager: bool = False) -> str:
        """Do one thing, at random; return what. ``eager``: whatever brings the work forward."""
        if self.state == "cut":
            self.connect()
            return "connects"
        return self.work(rng, eager=eager) if self.state == "ready" else ""

    def work(self, rng: Random, *, eager: bool) -> str:
        """Do one thing with what it holds."""
        choices = []
        if self.running is not None:
            choices.append(self._finish)
        else:
            if any(self._not_run(holding) for holding in self.ledger.holdings.values()):
                choices.append(self._start)
            if self.ran:
                choices.append(self._settle)
            if not eager and self.ledger.holdings:
                choices += [self._return] if rng.random() < 0.15 else []
        if self.may_claim(rng, eager=eager):
            choices.append(self.claim)
        return rng.choice(choices)(rng) if choices else ""

    def may_claim(self, rng: Random, *, eager: bool) -> bool:
        """Whether a claim would be in order, and now and then one ahead of the work."""
        if self.asked or self.ended or self.draining:
            return False
        return not self.ledger.holdings or rng.random() < 0.3

    def claim(self, rng: Random) -> str:
        """Ask for work."""
        self.send(self.new_claim(rng))
        return "claims"

    def new_claim(self, rng: Random) -> Claim:
        """A claim of any size and patience."""
        self.asked = True
        have = rng.choice(list(self.items)) if self.items and rng.random() < 0.7 else 0
        wait_s = rng.choice((0.5, 3.0)) if rng.random() < 0.2 else None
        return self.ledger.claim(rng.choice((1, 1, 2, 4, 64)), have=have, wait_s=wait_s)

    def _not_run(self, holding: Holding) -> list[int]:
        ran = self.ran.get(holding.token, {})
        return [i for lo, hi in holding.spans for i in range(lo, hi) if i not in ran]

    def _start(self, rng: Random) -> str:
        holdings = [h for h in self.ledger.holdings.values() if self._not_run(h)]
        holding = rng.choice(holdings)
        left = self._not_run(holding)
        count = len(left) if rng.random() < 0.6 else rng.randint(1, len(left))
        self.running = holding.token, tuple(left[:count])
        self.page = holding.token if rng.random() < 0.9 else RUNS_ALL
        return f"runs {holding.edge}:{holding.body}:{left[:count]}"

    def _finish(self, rng: Random) -> str:
        assert self.running is not None
        token, indexes = self.running
        holding = self.ledger.holdings[token]
        as_batch = len(indexes) > 1 and rng.random() < 0.3
        done: dict[int, Outcome] = {}
        for index in indexes:
            item = self.items[holding.body][index]
            mishap = self.world.shape.mishap(self.stage, item)
            if mishap == "poison":
                self.world.count["poison"] += 1
                self.world.kill(self, "poison", index=index if rng.random() < 0.2 else -1)
                return f"is killed by {item}"
            if mishap == "raises" or (mishap == "flaky" and not holding.attempts):
                if as_batch:
                    return self._batch_raised(token, indexes)
                done[index] = Outcome([], f"cannot do {item}")
            else:
                done[index] = Outcome(self.world.shape.emits(self.stage, item))
        self.running, self.page = None, 0
        self.ran.setdefault(token, {}).update(done)
        return "has run them"

    def _batch_raised(self, token: int, indexes: tuple[int, ...]) -> str:
        spans = _spans(indexes)
        self.world.count["batch raised"] += 1
        self.send(Return(token, spans, suspect=True))
        self.ledger.returned(token, spans)
        self.running, self.page = None, 0
        return "returns a batch that raised"

    def _return(self, rng: Random) -> str:
        token = rng.choice(list(self.ledger.holdings))
        spans = self.ledger.holdings[token].spans
        part = None if rng.random() < 0.5 else ((spans[0][0], spans[0][0] + 1),)
        self.send(Return(token, part))
        self.ledger.returned(token, part)
        for index in list(self.ran.get(token, ())):
            if part is None or index == part[0][0]:
                del self.ran[token][index]
        if not self.ran.get(token):
            self.ran.pop(token, None)
        self.world.count["return"] += 1
        return "returns some"

    def drain(self) -> None:
        """Give everything back and claim no more, as on a rescale."""
        self.draining = True
        self.running, self.page, self.ran = None, 0, {}
        for token in list(self.ledger.holdings):
            if self.state == "ready":
                self.send(Return(token))
                self.ledger.returned(token)

    def _settle(self, rng: Random) -> str:
        tokens = list(self.ran)
        if rng.random() < 0.3:
            tokens = rng.sample(tokens, rng.randint(1, len(tokens)))
        done: list[Done] = []
        failed: list[Failure] = []
        routed: list[Routed] = []
        staged: list[int] = []
        for token in tokens:
            indexes = list(self.ran[token])
            if rng.random() < 0.4:
                indexes = rng.sample(indexes, rng.randint(1, len(indexes)))
                self.world.count["settle in part"] += 1
            outcomes = {index: self.ran[token].pop(index) for index in indexes}
            if not self.ran[token]:
                del self.ran[token]
            holding = self.ledger.holdings[token]
            good = _spans([i for i, outcome in outcomes.items() if not outcome.error])
            made = [pair for outcome in outcomes.values() for pair in outcome.outputs]
            if good and made and rng.random() < 0.2:
                staged += self._stage(token, good, made)
                made = []
            routed += made
            for index, outcome in outcomes.items():
                if outcome.error:
                    self.world.oracle.failed(self, holding, index)
                    item = self.items[holding.body][index]
                    sent = pickle.dumps(item) if rng.random() < 0.5 else None
                    failed.append(Failure(token, index, outcome.error, "Traceback", item=sent))
            if good:
                whole = good == holding.spans and rng.random() < 0.5
                done.append(Done(token, None if whole else good))
        outputs, data = bodies(routed)
        claim = self.new_claim(rng) if self.may_claim(rng, eager=True) else None
        settle = owe(
            self.ledger,
            *done,
            outputs=outputs,
            data=data,
            staged=staged,
            failed=failed,
            claim=claim,
            items=sum(size(one.spans or ()) for one in done),
            busy_s=rng.choice((0.0, 0.01, 1.0)),
        )
        self.send(settle, data)
        return f"settles {len(done)} leases, {len(failed)} failures, {len(routed)} outputs"

    def _stage(self, token: int, spans: Spans, made: list[Routed]) -> list[int]:
        self.world.count["staged"] += 1
        keys = []
        outputs, data = bodies(made)
        for output, part in zip(outputs, data, strict=True):
            key = self.ledger.next_seq()
            keys.append(key)
            for _ in range(2):  # a repeat is ignored
                self.send(Stage(token, spans, key, output), part)
        return keys


def _spans(indexes: list[int] | tuple[int, ...]) -> Spans:
    spans: Spans = ()
    for index in indexes:
        spans = union(spans, ((index, index + 1),))
    return spans


def bodies(routed: list[Routed]) -> tuple[list[Output], list[bytes]]:
    """One body for each set of edges, as a worker's sender makes them."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for edges, item in routed:
        groups.setdefault(edges, []).append(item)
    data = [encode(items) for items in groups.values()]
    outputs = [
        Output(edges, len(items), len(part))
        for (edges, items), part in zip(groups.items(), data, strict=True)
    ]
    return outputs, data
