"""How far each process of a source is: durably, and by what was read and is on its way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.queues.messages import Cursor

if TYPE_CHECKING:
    from pipeline_runner.queues.effects import Pending


@dataclass(slots=True)
class SourceState:
    """One process's share of a source: its durable cursor, and the sequence already promised."""

    cursor: Cursor = field(default_factory=Cursor)
    seq: int = 0  # of the last settle read, durable or not
    ended: bool = False  # its last settle was read, durable or not
    lease: int = 0
    failures: int = 0  # in a row, without progress
    not_before: float = 0.0
    steps: deque[Pending] = field(default_factory=deque)  # only the first is with the disk

    def start(self) -> Pending:
        """Return the first step, to be made durable."""
        pending = self.steps[0]
        if pending.gives_up:
            stage, index, _cursor = pending.step.source or ("", 0, self.cursor)
            ended = Cursor(self.cursor.seq + 1, self.cursor.count, self.cursor.mark, finished=True)
            pending.step.source = stage, index, ended
        return pending
