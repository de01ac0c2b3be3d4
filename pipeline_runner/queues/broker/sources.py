"""How far each process of a source is: durably, and by what was read and is on its way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.wire.messages import Cursor

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.effects import Pending


@dataclass(slots=True)
class SourceState:
    """One process's share of a source: its durable cursor, and the sequence already promised."""

    cursor: Cursor = field(default_factory=Cursor)
    seq: int = 0  # of the last settle read, durable or not
    ended: bool = False  # its last settle was read, durable or not
    lease: int = 0
    failures: int = 0  # in a row, without progress
    not_before: float = 0.0
    steps: deque[Pending] = field(default_factory=deque)  # on their way to the disk, in order

    def add(self, pending: Pending) -> bool:
        """Take up one more step; False if it has to wait until it is the first."""
        self.steps.append(pending)
        if not pending.gives_up:
            return True
        if len(self.steps) > 1:
            return False
        self.end(pending)
        return True

    def end(self, pending: Pending) -> None:
        """Let the first step, which gives up, end the source where its cursor is by now."""
        stage, index, _cursor = pending.step.source or ("", 0, self.cursor)
        before = self.cursor
        after = Cursor(before.seq + 1, before.count, before.mark, finished=True)
        pending.step.source, pending.step.builds_on = (stage, index, after), before.seq
