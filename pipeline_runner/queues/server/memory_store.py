"""The store of ``durability = "memory"``: commits at once, but dead letters go to disk first.

Commits keep their order: behind a step whose letters are still being written, all wait. Behind one
of a source that was refused, its others are refused too.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.transaction import Sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_runner.queues.broker.effects import Pending
    from pipeline_runner.queues.broker.transaction import Letter

    WriteLetters = Callable[[Sequence[Letter], Callable[[bool], None]], None]
    Answer = Callable[[Pending, bool], None]


class MemoryStore:
    """Keeps nothing but letters. ``write`` runs elsewhere and calls back in the caller's thread.

    ``answer(pending, ok)`` is called for each commit, in order.
    """

    def __init__(self, write: WriteLetters, answer: Answer) -> None:
        self._write = write
        self._answer = answer
        self._waiting: deque[Pending] = deque()
        self._sequences = Sequences({})

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the disk."""
        return not self._waiting

    def commit(self, pending: Pending) -> None:
        """Make ``pending`` durable as far as memory goes, then answer."""
        if self._waiting:
            self._waiting.append(pending)
        elif pending.step.letters:
            self._waiting.append(pending)
            self._start()
        elif pending.step.source is None:
            self._answer(pending, True)
        else:
            self._keep(pending)

    def _start(self) -> None:
        # Everything that waits at this moment is one write: letters come in bursts.
        group = tuple(self._waiting)
        letters = [letter for pending in group for letter in pending.step.letters]
        self._write(letters, lambda ok: self._written(len(group), ok))

    def _written(self, count: int, ok: bool) -> None:
        for _ in range(count):
            pending = self._waiting.popleft()
            self._keep(pending) if ok else self._answer(pending, False)
        while self._waiting and not self._waiting[0].step.letters:
            self._keep(self._waiting.popleft())
        if self._waiting:
            self._start()

    def _keep(self, pending: Pending) -> None:
        self._answer(pending, self._sequences.take(pending.step))
