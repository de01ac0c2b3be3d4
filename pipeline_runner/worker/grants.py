"""What a worker has in hand: leases that arrived, and the one body that is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipeline_runner.queues.codec import decode
from pipeline_runner.worker.salvage import Broken, salvage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.arena import Arena
    from pipeline_runner.queues.messages import Granted


class Grant(msgspec.Struct, eq=False):
    """A lease that arrived, and its body's bytes unless they were in hand."""

    lease: Granted
    data: bytes | memoryview
    arena: Arena | None = None  # where they lie, if not here

    @property
    def is_whole(self) -> bool:
        """Whether its bytes, read by now, were not another's by then: its lease would be lost."""
        return self.arena is None or self.arena.is_whole(self.lease.at)


def with_bodies(grants: Sequence[Grant], body: int) -> list[Grant]:
    """Return those of ``grants`` whose body came along, or is at hand by their turn.

    ``body`` is the number of the one at hand now. What came with a lease that is lost is not here.
    """
    kept: list[Grant] = []
    for grant in grants:
        if grant.data or grant.lease.body == body:
            kept.append(grant)
            body = grant.lease.body
    return kept


class TornError(Exception):
    """A lease was lost while its body was read: what it gives is for nobody."""


class InHand:
    """The body that was claimed from last: its other items come without its bytes."""

    def __init__(self) -> None:
        self.body = 0  # its number; 0 for none
        self._data: bytes | memoryview = b""
        self._items: list[Any] = []
        self._fresh_from = 0  # items from here on have not been handed to user code

    def items(self, grant: Grant) -> list[Any]:
        """Return the items of the grant's whole body, none of them used before.

        Raises what unpickling raises.
        """
        lease = grant.lease
        if lease.body != self.body or (grant.data and not lease.at):
            self._fresh_from = lease.n  # nothing is decoded yet
            self._items = []
        if grant.data:
            self.body, self._data = lease.body, grant.data
        # User code may change an item in place: one that was handed out is decoded again.
        if lease.lo < self._fresh_from or len(self._items) != lease.n:
            self._items = []
            items = decode(self._data)
            if grant.arena is not None and not grant.is_whole:
                raise TornError(f"body {lease.body} of {lease.edge} is no longer there")
            self._items = items
        self._fresh_from = lease.hi
        return self._items

    def salvage(self, grant: Grant, error: BaseException) -> list[Any]:
        """Return the items of a body that raised ``error``, each bad one as a ``Broken``."""
        if isinstance(error, TornError) or not grant.is_whole:
            return [Broken(error)] * grant.lease.n
        try:
            return salvage(self._data)
        except BaseException:  # noqa: BLE001  (it is no pickle at all, or a truncated one)
            return [Broken(error)] * grant.lease.n
