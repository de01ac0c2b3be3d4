"""From outputs to bodies: which edges each value fits, encoded in batches, faults told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipeline_runner.queues.codec import encode
from pipeline_runner.queues.messages import Output
from pipeline_runner.queues.slots import LARGE_BYTES
from pipeline_runner.worker.values import Tagged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.worker.job import Out
    from pipeline_runner.worker.places import Places


class NoEdgeFitsError(LookupError):
    """An output whose tags fit no edge: an error, not a loss."""


def unsendable(error: BaseException) -> str:
    """Return the cause of a failure whose item could not be sent: "unroutable" or "unpicklable"."""
    return "unroutable" if isinstance(error, NoEdgeFitsError) else "unpicklable"


class Bodies(msgspec.Struct):
    """Encoded outputs, ready to send, and the mean size of an item in bytes."""

    outputs: list[Output] = []
    data: list[bytes | memoryview] = []

    def add(self, edges: tuple[str, ...], items: list[Any], places: Places | None = None) -> None:
        """Encode ``items`` for ``edges``, into a place if there is one for them.

        Raises what pickling one of them raises.
        """
        at, n = 0, len(items)
        data: bytes | memoryview | None = None
        if places is not None and places.item_bytes * n >= LARGE_BYTES:
            at, data = places.write(items)
        if data is None:
            data = encode(items)
        if places is not None:
            places.item_bytes = len(data) / n
        self.outputs.append(Output(edges, n, len(data), at))
        self.data.append(data)

    def extend(self, other: Bodies) -> None:
        """Add what another already encoded."""
        self.outputs += other.outputs
        self.data += other.data

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.data))


class Router:
    """Sends the values of one stage to its edges."""

    def __init__(self, outs: Sequence[Out]) -> None:
        self._outs = tuple(outs)
        self.is_sink = not outs  # no edge out: values are dropped
        self._all = tuple(out.edge for out in outs)
        self._tagged = any(out.tags for out in outs)

    def encode(self, values: list[Any], places: Places | None = None) -> Bodies:
        """Return ``values`` as bodies, large ones in ``places``; those have to be settled then.

        Raises NoEdgeFitsError, or what pickling raises.
        """
        bodies = Bodies()
        if not values or not self._outs:
            return bodies
        if not self._tagged:
            bodies.add(self._all, values, places)
            return bodies
        groups: dict[tuple[str, ...], list[Any]] = {}
        for value in values:
            groups.setdefault(self._edges_of(value), []).append(value)
        for edges, group in groups.items():
            bodies.add(edges, group)
        return bodies

    def sift(self, produced: list[list[Any]]) -> tuple[Bodies, list[tuple[int, BaseException]]]:
        """Encode each item's outputs apart; return those that can travel and the items at fault."""
        sound: list[Any] = []
        faults: list[tuple[int, BaseException]] = []
        for index, values in enumerate(produced):
            try:
                self.encode(values)
            except BaseException as error:  # noqa: BLE001  (user classes raise what they like)
                faults.append((index, error))
            else:
                sound += values
        return self.encode(sound), faults

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
