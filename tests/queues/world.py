"""One simulated head, its disk, its workers and the wires between them; every step is chosen.

The world is a shell without input or output: it carries out what the real broker decides, and
can stop, lose or delay anything at any point between two steps.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.effects import Commit, Failed, Finished, Send, Stopped
from pipeline_runner.queues.broker.transaction import Sequences
from pipeline_runner.wire.messages import (
    Adopt,
    Claim,
    Died,
    Granted,
    Hello,
    Return,
    Settle,
    Stage,
)
from pipeline_runner.worker.session.ledger import Ledger
from tests.queues.durable import Durable
from tests.queues.model_source import ModelSource
from tests.queues.model_worker import Connection, ModelWorker
from tests.queues.oracle import Oracle
from tests.queues.places import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.queues.broker.effects import Pending
    from tests.queues.shapes import Shape

WINDOW_S = 10.0  # after a restart, until grants begin again
RUN = "run-1"


@dataclass
class Disk:
    """What is durable, what waits to be, and what is done but not yet told to the broker."""

    durable: Durable = field(default_factory=Durable)
    waiting: deque[Pending] = field(default_factory=deque)
    untold: deque[tuple[Pending, bool]] = field(default_factory=deque)
    sequences: Sequences = field(default_factory=lambda: Sequences({}))


class World:
    """A pipeline in motion. ``count`` holds how often each kind of thing happened."""

    def __init__(
        self,
        shape: Shape,
        *,
        make_broker: Callable[..., Broker] = Broker,
        make_ledger: Callable[[str], Ledger] = Ledger,
        outcomes_only: bool = False,
    ) -> None:
        self.shape = shape
        self.make_broker, self.make_ledger = make_broker, make_ledger
        self.now = 100.0
        self.epoch = 0
        self.count: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=80)
        self.connections: list[Connection] = []
        self.workers: list[ModelWorker] = []
        self.deaths: list[Died] = []
        self.graves: dict[str, Connection | None] = {}
        self.finished: Counter[str] = Counter()
        self.disk = Disk()
        self.at_once = False  # commit while decisions are carried out, as a run in memory does
        self.oracle = Oracle(self, outcomes_only=outcomes_only)
        self._born = 0
        self._sessions: dict[int, Connection] = {}
        self._owner: dict[int, str] = {}
        self._latest: dict[str, Connection] = {}
        self.broker: Broker
        self.start_head()
        for stage in shape.topology.stages.values():
            shares = self.shares(stage.name)
            for index in range(shares or 1):
                self.spawn(stage.name, index)

    # ---- the cast

    def shares(self, stage: str) -> int:
        """Over how many processes a source is spread; 0 for no source."""
        return sum(name == stage for name, _index in self.shape.totals)

    def spawn(self, stage: str, index: int) -> ModelWorker:
        """Start a process."""
        self._born += 1
        host = ("north", "south")[self._born % 2]
        process = ModelSource if self.shape.topology.stages[stage].is_source else ModelWorker
        worker = process(self, f"{stage}-{self._born}", stage, index, host)
        self.workers.append(worker)
        return worker

    def kill(self, worker: ModelWorker, cause: str, *, index: int = -1) -> None:
        """End a process; its agent will tell, unless its host goes silent before."""
        self.oracle.killed(worker, index)
        worker.alive = False
        self.workers.remove(worker)
        self.deaths.append(Died(worker.name, worker.page, cause, index))
        self.graves[worker.name] = worker.connection
        if worker.connection is not None:
            worker.connection.cut = True

    # ---- the wires

    def deliver_up(self, connection: Connection) -> str:
        """Let the head read one frame, or the end."""
        if not connection.up:
            if connection.cut:
                self._close(connection)
                return "end of file"
            return ""
        message, data = connection.up.popleft()
        if connection.over:
            self.count["frame of an old session"] += 1
            return f"drops {message}"
        if isinstance(message, Hello):
            older = self._latest.get(message.worker)
            if older is not None and not older.over:
                if older.up:
                    self.count["old session closed with frames unread"] += 1
                self._close(older)
            connection.session = self.broker.hello(message, self.now)
            self._sessions[connection.session] = connection
            self._latest[message.worker] = connection
        else:
            self._say(connection.session, message, data)
        self.carry_out()
        return f"reads {message}"

    def _say(self, session: int, message: Any, data: Any) -> None:
        match message:
            case Claim():
                self.broker.claim(session, message, self.now)
            case Settle():
                self.broker.settle(session, message, data, self.now)
            case Stage():
                self.broker.stage(session, message, data)
            case Return():
                self.broker.return_(session, message, self.now)
            case Adopt():
                self.broker.adopt(session, message, self.now)

    def _close(self, connection: Connection) -> None:
        connection.over = True
        if connection in self.connections:
            self.connections.remove(connection)
        self._sessions.pop(connection.session, None)
        self.broker.closed(connection.session)

    def cut(self, worker: ModelWorker, *, keep: int) -> None:
        """Reset a connection: ``keep`` frames to the head survive, none to the worker."""
        connection = worker.connection
        assert connection is not None
        if connection.down:
            self.count["frames to a worker lost"] += 1
        if keep < len(connection.up):
            self.count["frames to the head lost"] += 1
        if keep:
            self.count["frames to the head late"] += 1
        connection.down.clear()
        while len(connection.up) > keep:
            connection.up.pop()
        connection.cut = True
        worker.hung_up()

    # ---- the head and its disk

    def start_head(self) -> None:
        """Start an epoch from what is durable."""
        self.epoch += 1
        self.finished = Counter()
        self.broker = self.make_broker(
            self.shape.topology,
            run=RUN,
            epoch=self.epoch,
            durable=self.disk.durable,
            closed_until=self.now + WINDOW_S if self.epoch > 1 else None,
            window=self.shape.window,
        )
        self.broker.state.memory_bytes = self.shape.memory_bytes
        for stage in self.shape.topology.stages.values():
            if stage.is_source:
                self.broker.processes(stage.name, self.shares(stage.name))

    def crash_head(self, survive: int) -> None:
        """Kill the head; the first ``survive`` of the waiting commits had reached the disk."""
        for _ in range(survive):
            self.write()
        if self.disk.waiting:
            self.count["commits lost with the head"] += 1
        if self.disk.untold:
            self.count["durable, the head died before it said so"] += 1
        self.disk.waiting.clear()
        self.disk.untold.clear()
        for connection in self.connections:
            connection.over = True
        for worker in self.workers:
            if worker.connection is not None:
                worker.hung_up()
        self.connections.clear()
        self._sessions.clear()
        self._latest.clear()
        self.start_head()
        self.carry_out()

    def write(self, *, ok: bool = True) -> None:
        """Make the oldest waiting commit durable, or fail to."""
        pending = self.disk.waiting.popleft()
        if not self.disk.sequences.take(pending.step):
            self.count["step of a source refused with the one before it"] += 1
            ok = False
        if ok:
            self.disk.sequences.committed()
            self.oracle.applied(pending)
            self.disk.durable.apply(pending.step, self.now)
        else:
            self.disk.sequences.rolled_back()
        self.disk.untold.append((pending, ok))

    def tell(self) -> None:
        """Tell the broker what became of its oldest commit."""
        self._answer()
        self.carry_out()

    def _answer(self) -> None:
        pending, ok = self.disk.untold.popleft()
        if ok:
            self.broker.committed(pending, self.now)
        else:
            self.broker.refused(pending, self.now)

    def carry_out(self) -> None:
        """Do what the broker decided."""
        granted: list[Granted] = []
        while effects := self.broker.take():
            for effect in effects:
                match effect:
                    case Send():
                        self._send(effect, granted)
                    case Commit():
                        self.disk.waiting.append(effect.pending)
                        if self.at_once and len(self.disk.waiting) == 1 and not self.disk.untold:
                            self.count["committed at once"] += 1
                            self.write()
                            self._answer()
                    case Finished():
                        self.finished[effect.stage] += 1
                        self.oracle.ended(effect.stage)
                    case Failed():
                        self.count["item to be retried"] += 1
                    case Stopped():
                        raise Broken("nothing here says stop")
        if granted:
            self.oracle.room(granted)

    def _send(self, send: Send, granted: list[Granted]) -> None:
        self.oracle.sent(send)
        if isinstance(send.message, Granted):
            granted.append(send.message)
            self.count["suspect alone"] += send.message.suspect
        connection = self._sessions.get(send.session)
        if connection is not None and not connection.cut:
            connection.down.append((send.message, send.data))

    def tick(self) -> None:
        """Let the broker do what is due."""
        self.broker.tick(self.now)
        self.carry_out()

    def mark_dead(self, died: Died) -> None:
        """Pass on an agent's word of a death, after the connection was read to its end."""
        self.deaths.remove(died)
        connection = self.graves.pop(died.worker)
        if connection is not None and not connection.over:
            while connection.up:
                self.deliver_up(connection)
            self._close(connection)
        latest = self._latest.get(died.worker)
        if latest is not None and not latest.over:
            while latest.up:
                self.deliver_up(latest)
            self._close(latest)
        self.broker.died(died, self.now)
        self.carry_out()

    def lose(self, host: str) -> None:
        """Declare a silent host lost. Its workers may still be alive, and not know."""
        for name in [r.id for r in self.broker.state.workers.values() if r.host == host]:
            connection = self._latest.pop(name, None)
            if connection is not None and not connection.over:
                self._close(connection)
        self.broker.lost(host, self.now)
        self.carry_out()

    @property
    def is_over(self) -> bool:
        """Whether the end of every stage was announced."""
        return len(self.finished) == len(self.shape.topology.stages)
