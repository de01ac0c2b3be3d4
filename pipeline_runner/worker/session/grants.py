"""What a worker has in hand: leases that arrived, and the body it claimed from last."""

from __future__ import annotations

from pickle import HIGHEST_PROTOCOL, dumps, loads
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from pipeline_runner.wire.codec import Apart, decode, is_apart
from pipeline_runner.wire.repack import MOST_MOVED_BYTES, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline_runner.wire.messages import Granted
    from pipeline_runner.wire.repack import Name
    from pipeline_runner.wire.shm.arena import Arena


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


class UndecodableError(Exception):
    """An item cannot be decoded; why not is this exception's ``__cause__``."""


class TornError(Exception):
    """A lease was lost while its body was read: what it gives is for nobody."""


class Items(Protocol):
    """The items of one body, by index, each decoded when it is asked for.

    Both raise UndecodableError; an iterator that did is at its end.
    """

    def item(self, index: int) -> Any:
        """Return one item."""

    def span(self, lo: int, hi: int) -> Iterable[Any]:
        """Return items lo..hi-1, each decoded when its turn comes."""

    def name(self, index: int) -> Name:
        """Return the body and the index that an item is named by."""

    def pickle(self, index: int) -> bytes | None:
        """Return an item's pickle for the head, which has it already where this is None."""


class _Together:
    """Items that were encoded together: scalars, or just one item."""

    def __init__(self, grant: Grant, data: bytes | memoryview) -> None:
        self._grant = grant
        self._data: bytes | memoryview = data
        self._items: list[Any] | None = None

    def item(self, index: int) -> Any:
        return self._all()[index]

    def span(self, lo: int, hi: int) -> Iterable[Any]:
        items = self._all()
        return items[lo:hi] if hi - lo < len(items) else items

    def name(self, index: int) -> Name:
        return self._grant.lease.body, index

    def pickle(self, index: int) -> bytes | None:
        if self._items is None:
            return None
        item = self._items[index]
        if isinstance(item, (str, bytes)) and len(item) > MOST_MOVED_BYTES:
            return None
        return dumps(item, HIGHEST_PROTOCOL)

    def _all(self) -> list[Any]:
        if self._items is not None:
            return self._items
        try:
            items = decode(self._data)
        except BaseException as error:
            raise UndecodableError from error
        _check(self._grant)
        if len(items) > 1:  # scalars; one alone may be anything, and user code may change it
            self._items = items
        return items


class _Apart:
    """Items that stand each by itself."""

    def __init__(self, grant: Grant, items: Apart) -> None:
        self._grant = grant
        self._data, self._offsets = items.data, items.offsets
        self._is_shared = grant.arena is not None and not items.is_copy

    def item(self, index: int) -> Any:
        try:
            item = loads(self._data[self._offsets[index] : self._offsets[index + 1]])  # noqa: S301
        except BaseException as error:
            raise UndecodableError from error
        if self._is_shared:
            _check(self._grant)
        return item

    def name(self, index: int) -> Name:
        return name_of(self._data, self._grant.lease.body, index)

    def pickle(self, _index: int) -> bytes | None:
        return None

    def span(self, lo: int, hi: int) -> Iterator[Any]:
        data, offsets, is_shared = self._data, self._offsets, self._is_shared
        start = offsets[lo]
        for end in offsets[lo + 1 : hi + 1]:
            try:
                item = loads(data[start:end])  # noqa: S301  (the key holders' own)
            except BaseException as error:
                raise UndecodableError from error
            if is_shared:
                _check(self._grant)
            yield item
            start = end


def _check(grant: Grant) -> None:
    """Raise UndecodableError if what was read from shared memory was another's by then."""
    if not grant.is_whole:
        torn = TornError(f"body {grant.lease.body} of {grant.lease.edge} is no longer there")
        raise UndecodableError from torn


class InHand:
    """The body that was claimed from last: its other items come without its bytes."""

    def __init__(self) -> None:
        self.body = 0  # its number; 0 for none
        self._items: Items | None = None

    def items(self, grant: Grant) -> Items:
        """Return the items of the grant's body; nothing is decoded yet."""
        lease = grant.lease
        if self._items is None or lease.body != self.body or (grant.data and not lease.at):
            self.body = lease.body
            self._items = _items_of(grant)
        return self._items


def _items_of(grant: Grant) -> Items:
    if is_apart(grant.data):
        try:
            items = Apart(grant.data)
        except ValueError:  # shared memory that is another's by now, or damage: each item says so
            return _Together(grant, grant.data)
        if grant.is_whole:
            return _Apart(grant, items)
    return _Together(grant, grant.data)
