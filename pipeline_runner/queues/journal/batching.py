"""Which of the steps that wait share the next transaction, and what that takes of the log."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline_runner.queues.broker.effects import Pending
    from pipeline_runner.queues.broker.transaction import Body, Transaction

MOST_STEPS = 512  # of one transaction: the loop has to turn
_PAGE_BYTES = 4096 + 24  # as the log has it
_GROUP_PAGES = 16  # of the tables around the bodies, whatever a transaction does


def first_group(
    waiting: Iterable[Pending], most_steps: int, most_bytes: int
) -> tuple[Pending, ...]:
    """Return the first of those that wait: at least one, else no more than ``most_bytes``."""
    group: list[Pending] = []
    for pending in islice(waiting, most_steps):
        most_bytes -= size_bytes(pending)
        if most_bytes < 0 and group:
            break
        group.append(pending)
    return tuple(group)


def needs_room(pending: Pending) -> bool:
    """Whether a step adds to what is kept, and may be refused for that."""
    return bool(pending.step.produced or pending.step.redriven) and not pending.retryable


def size_bytes(pending: Pending) -> int:
    """Return how large the bodies are that a step makes."""
    return sum(len(body.data) for body in _bodies(pending.step))


def takes(group: Iterable[Pending]) -> int:
    """Return how many bytes of the log a transaction of these steps takes at most, for its bodies.

    The log holds whole pages. A large body fills some of its own; small ones share them, beside
    what says where they are.
    """
    total = _GROUP_PAGES * _PAGE_BYTES
    for pending in group:
        for body in _bodies(pending.step):
            size = len(body.data)
            is_small = size < _PAGE_BYTES // 2
            total += 2 * size + 400 if is_small else (size // 4000 + 3) * _PAGE_BYTES
    return total


def _bodies(step: Transaction) -> Iterator[Body]:
    yield from (body for _edges, body in step.produced)
    yield from (retry.body for retry in step.retried)
    yield from (body for _edge, body in step.redriven)
