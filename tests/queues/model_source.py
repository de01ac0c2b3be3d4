"""A source process as the simulator runs it: it goes on from the cursor it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.wire.messages import Advance, Cursor, Done, Failure
from tests.queues.desk import owe
from tests.queues.model_worker import ModelWorker, bodies

if TYPE_CHECKING:
    from random import Random


class ModelSource(ModelWorker):
    """Yields its share of the shape's sequence, several steps ahead of the disk if it may."""

    def work(self, rng: Random, *, eager: bool) -> str:
        """Emit, fail or ask for leave."""
        if not self.ledger.holdings:
            return self.claim(rng) if self.may_claim(rng, eager=eager) else ""
        token = next(iter(self.ledger.holdings))
        if rng.random() < 0.03 and not eager:
            self.world.count["source failed"] += 1
            settle = owe(self.ledger, failed=[Failure(token, 0, "no feed", "")])
            self.send(settle, ())
            return "fails"
        sequence = self.world.shape.sequence(self.stage, self.index)
        start = self.cursor.count
        stop = min(len(sequence), start + rng.randint(0 if not eager else 1, self.credit[token]))
        values, lost = sequence[start:stop], []
        if values and rng.random() < 0.05:
            lost = rng.sample(values, rng.randint(1, len(values)))
            self.world.count["source value lost"] += 1
        finished = stop == len(sequence) and (eager or rng.random() < 0.7)
        after = Cursor(self.cursor.seq + 1, stop, None, finished)
        outputs, data = bodies(
            [self.world.shape.route(self.stage, value) for value in values if value not in lost]
        )
        settle = owe(
            self.ledger,
            *([] if lost and rng.random() < 0.5 else [Done(token)]),
            outputs=outputs,
            data=data,
            failed=[Failure(token, 0, "unpicklable", "", payload=value) for value in lost],
            advance=Advance(self.cursor.seq, after),
            claim=None if self.asked or finished else self.new_claim(rng),
        )
        self.send(settle, data)
        self.cursor = after
        return f"emits {values}{' and is through' if finished else ''}"
