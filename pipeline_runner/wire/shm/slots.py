"""Who may use which slot of the memory that a head shares with the workers of its host.

A slot is in one hand: free, granted to a worker for its next outputs, or a body's. Each grant gives
the slot a number of its own, its *place*, so that a name of an earlier use fits nothing later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

SLOT_BYTES = 2 * 1024**2  # a body of usual size, and an item that makes it somewhat longer
LARGE_BYTES = 32 * 1024  # a smaller body costs less behind its message
MOST_IN_HAND = 2  # of one worker: the outputs it makes, and those of the lease it has ahead


class Store(Protocol):
    """The memory itself."""

    def reserve(self, place: int) -> bool:
        """Make sure of a slot's memory and stamp it with ``place``; False if there is none."""

    def view(self, place: int, size: int) -> memoryview:
        """Return what lies there, not copied."""


class Slots:
    """``count`` slots. A place is ``use * count + slot``, and never 0."""

    def __init__(self, count: int, store: Store) -> None:
        self.count = count
        self._store = store
        # Last freed, first granted: its pages are still in the caches.
        self._free = list(reversed(range(count)))
        self._uses = [0] * count
        self._hands: dict[str, set[int]] = {}
        self._lent: dict[int, int] = {}  # places on their way to peers, and how often
        self._freed: set[int] = set()  # of those

    @property
    def free_slots(self) -> int:
        """How many slots are in nobody's hand."""
        return len(self._free)

    def hand(self, worker: str) -> Collection[int]:
        """Return the places granted to a worker and not used yet."""
        return self._hands.get(worker, ())

    def take(self, worker: str) -> int:
        """Grant a worker a place; 0 if there is none, or it has enough."""
        hand = self._hands.setdefault(worker, set())
        if not self._free or len(hand) >= MOST_IN_HAND:
            return 0
        slot = self._free[-1]
        place = (self._uses[slot] + 1) * self.count + slot
        if not self._store.reserve(place):
            return 0
        self._free.pop()
        self._uses[slot] += 1
        hand.add(place)
        return place

    def fill(self, worker: str, place: int, size: int) -> memoryview:
        """Take a place out of a worker's hand, for a body of ``size`` bytes; return its bytes."""
        self._hands[worker].remove(place)
        return self._store.view(place, size)

    def refuse(self, worker: str, place: int) -> None:
        """Put a body's place back into the hand it came from."""
        self._hands.setdefault(worker, set()).add(place)

    def free(self, place: int) -> None:
        """Take a place back: its body is gone, and no lease reads it."""
        if place in self._lent:
            self._freed.add(place)
        else:
            self._free.append(place % self.count)

    def lend(self, place: int) -> None:
        """Keep a place as it is until it is given back: its bytes are being sent from there."""
        self._lent[place] = self._lent.get(place, 0) + 1

    def give_back(self, place: int) -> None:
        """It was sent, or never will be."""
        self._lent[place] -= 1
        if not self._lent[place]:
            del self._lent[place]
            if place in self._freed:
                self._freed.remove(place)
                self.free(place)

    def leave(self, worker: str) -> None:
        """Take back all that a worker has: it is dead, or said that it uses none of it."""
        for place in sorted(self._hands.pop(worker, ())):
            self.free(place)

    def abandon(self, worker: str) -> None:
        """Never grant again what a worker has that may still live, unheard, and write there."""
        self._hands.pop(worker, None)
