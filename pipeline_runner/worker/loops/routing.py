"""From outputs to bodies: which edges each value fits, each taken as it is, encoded in batches."""

from __future__ import annotations

from pickle import HIGHEST_PROTOCOL, dumps
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline_runner.queues.broker.sizing import MOST_ITEMS
from pipeline_runner.wire.codec import SCALARS, encode
from pipeline_runner.wire.messages import MOST_ITEM, Output
from pipeline_runner.wire.shm.slots import LARGE_BYTES, SLOT_BYTES
from pipeline_runner.worker.values import At, Tagged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline_runner.worker.job import Out
    from pipeline_runner.worker.session.output_slots import OutputSlots

SEND_BYTES = SLOT_BYTES  # outputs of so many bytes are sent before more is made
UNROUTABLE, UNPICKLABLE, TOO_LARGE = "unroutable", "unpicklable", "too large"
_SCALAR_BYTES = 16  # about what a number takes in a body
_UNCOUNTED_BYTES = SEND_BYTES // MOST_ITEMS


class NoEdgeFitsError(LookupError):
    """An output whose tags fit no edge: an error, not a loss."""


class ItemTooLargeError(ValueError):
    """An output that is larger than an item may be."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"an item of {size:,} bytes; the bound is {most:,}: raise max_item in [server], "
            "or give the name of a file that holds it"
        )


class UnsendableError(Exception):
    """An output cannot travel; ``cause`` is UNROUTABLE, UNPICKLABLE or TOO_LARGE.

    What is wrong with it is this exception's ``__cause__``.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Routed(msgspec.Struct, gc=False):
    """An output that was taken, and the edges it fits."""

    edges: tuple[str, ...]
    taken: Any


class Bodies(msgspec.Struct):
    """Encoded outputs, ready to send."""

    outputs: list[Output] = []
    data: list[bytes | memoryview] = []

    def add(
        self,
        edges: tuple[str, ...],
        taken: Sequence[Any],
        most: int = SEND_BYTES,
        places: OutputSlots | None = None,
        *,
        scalars: bool = False,
    ) -> None:
        """Encode ``taken`` for ``edges``, into a place if there is one for them.

        A body over ``most`` bytes is made two, as long as it has two items. With ``scalars``
        nothing in it was pickled yet.
        """
        at, n = 0, len(taken)
        data: bytes | memoryview | None = None
        if places is not None and places.item_bytes * n >= LARGE_BYTES:
            at, data = places.write(taken, scalars=scalars)
        if data is None:
            data = encode(taken, scalars=scalars)
            if len(data) > most and n > 1:
                self.add(edges, taken[: n // 2], most, places, scalars=scalars)
                self.add(edges, taken[n // 2 :], most, places, scalars=scalars)
                return
        if places is not None:
            places.item_bytes = len(data) / n
        self.outputs.append(Output(edges, n, len(data), at))
        self.data.append(data)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.data))


class Router:
    """Takes the values of one stage, and sends them to its edges.

    ``take(value)`` returns a value as it is now, for :meth:`encode`: nothing that happens to it
    later shows. It raises UnsendableError, and TypeError for what a source alone may yield.

    ``most_item`` is the largest encoded item in bytes. ``taken_bytes`` only grows, by what was
    taken, but for what is so small that :data:`MOST_ITEMS` of it are no matter; an output that
    brings it to ``full_at`` calls ``on_full`` first.
    """

    def __init__(self, outs: Sequence[Out], most_item: int = MOST_ITEM) -> None:
        self._outs = tuple(outs)
        self.is_sink = not outs  # no edge out: values are dropped
        self.taken_bytes = 0
        self.full_at = 1 << 62
        self.on_full: Callable[[], None] = lambda: None
        self.plain: type = type(None)  # of the last number: one of this type is taken as it is
        self._most_item = most_item
        self._most_body = min(SEND_BYTES, most_item)
        self._uncounted = min(_UNCOUNTED_BYTES, most_item)
        self._all = tuple(out.edge for out in outs)
        self._tagged = any(out.tags for out in outs)
        self._pickles = False  # whether anything but scalars was taken
        self._pickled: type = _Nothing  # the type of the last that was not
        self.take: Callable[[Any], Any] = self._take
        if self.is_sink or self._tagged:
            self.plain = _Nothing
            self.take = self._take_nothing if self.is_sink else self._take_tagged

    def _take(self, value: Any) -> Any:
        if type(value) is not self._pickled:
            return self._take_another(value)
        try:
            data = dumps(value, HIGHEST_PROTOCOL)
        except Exception as error:
            raise UnsendableError(UNPICKLABLE) from error
        if len(data) > self._uncounted:
            self._count(len(data))
        return (data,)

    def _take_another(self, value: Any) -> Any:
        """Take a value of another type than the last that was pickled."""
        kind = type(value)
        if kind not in SCALARS:
            if issubclass(kind, Tagged):  # isinstance() believes what an object says of itself
                return self._take(value.value)
            if issubclass(kind, At):
                raise TypeError(
                    "At(value, cursor) is what a source yields that has a parameter `cursor`"
                )
            self._pickled, self._pickles = kind, True
            return self._take(value)
        if kind is str or kind is bytes:
            if len(value) > self._uncounted:
                self._count(len(value))
        elif not self._tagged:
            self.plain = kind
        return value

    def _count(self, size: int) -> None:
        if size > self._most_item:
            raise UnsendableError(TOO_LARGE) from ItemTooLargeError(size, self._most_item)
        self.taken_bytes += size
        if self.taken_bytes >= self.full_at:
            self.on_full()

    def _take_nothing(self, value: Any) -> None:
        """Take what a sink returns: it goes nowhere, and need not be fit to travel."""

    def _take_tagged(self, value: Any) -> Routed:
        try:
            edges = self._edges_of(value)
        except NoEdgeFitsError as error:
            raise UnsendableError(UNROUTABLE) from error
        return Routed(edges, self._take(value))

    def encode(self, taken: Sequence[Any], places: OutputSlots | None = None) -> Bodies:
        """Return what :meth:`take` returned as bodies, none larger than it should be.

        Large ones lie in ``places``; those have to be settled then.
        """
        bodies = Bodies()
        if not taken or not self._outs:
            return bodies
        scalars = not self._pickles
        if not self._tagged:
            bodies.add(self._all, taken, self._most_body, places, scalars=scalars)
            return bodies
        groups: dict[tuple[str, ...], list[Any]] = {}
        for routed in taken:
            groups.setdefault(routed.edges, []).append(routed.taken)
        for edges, group in groups.items():
            bodies.add(edges, group, self._most_body, scalars=scalars)
        return bodies

    def _edges_of(self, value: Any) -> tuple[str, ...]:
        tags = value.tags if isinstance(value, Tagged) else frozenset[str]()
        edges = tuple(
            out.edge for out in self._outs if not out.tags or not tags.isdisjoint(out.tags)
        )
        if not edges:
            wanted = ", ".join(sorted({tag for out in self._outs for tag in out.tags}))
            has = f"tags {sorted(tags)}" if tags else "no tag"
            raise NoEdgeFitsError(f"an output with {has} fits no edge; edges want: {wanted}")
        return edges


class _Nothing:
    """A type of which there is no value."""


def size_of(taken: Any) -> int:
    """Return about how many bytes an item that was taken will have in a body."""
    kind = type(taken)
    if kind is tuple:
        return len(taken[0])
    if kind is Routed:
        return size_of(taken.taken)
    if kind is list:  # the outputs of one item
        return sum(map(size_of, taken))
    return _SCALAR_BYTES + (len(taken) if kind is str or kind is bytes else 0)


def runs(taken: Sequence[Any], most: int = SEND_BYTES) -> Iterator[Sequence[Any]]:
    """Yield ``taken`` in runs of at most ``most`` bytes, or of one that alone is larger."""
    start, size = 0, 0
    for i, item in enumerate(taken):
        each = size_of(item)
        if size + each > most and i > start:
            yield taken[start:i]
            start, size = i, 0
        size += each
    yield taken[start:] if start else taken
