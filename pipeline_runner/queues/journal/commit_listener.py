"""Whom a journal answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.broker.effects import Pending
    from pipeline_runner.queues.broker.transaction import Letter


class CommitListener(Protocol):
    """Whom a journal answers to, in the loop's thread."""

    def answer(self, pending: Pending, ok: bool) -> None:
        """This step is durable, or it will never be."""

    def answered(self) -> None:
        """Every step of a group has its answer: carry out what follows."""

    def write_letters(self, letters: Sequence[Letter]) -> None:
        """Put dead letters on disk. Called in the journal's thread. Raises OSError."""

    def disk_full(self, reason: str) -> None:
        """Nothing new can be kept, for this reason; an empty one says that it can again."""

    def disk_failed(self, error: Exception) -> None:
        """The disk cannot be trusted any more. Nothing is answered from here on."""
