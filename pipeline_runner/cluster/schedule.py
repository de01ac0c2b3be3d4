"""When to speak: a host that searches, and a head that is there. Pure: times are arguments."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FIRST_ASKS_S = (0.0, 0.05, 0.15, 0.4, 1.0)
_ASK_EVERY_S = 2.0
_FIRST_ANNOUNCES_S = (0.0, 0.2, 1.0)
_ANNOUNCE_EVERY_S = 30.0  # never less: idle heads cost a network one packet in so long
_JITTER = 0.25


def asks(random: Callable[[], float]) -> Iterator[float]:
    """Yield when to ask, in seconds after the search began. ``random()`` is in 0..1."""
    yield from _FIRST_ASKS_S
    at = _FIRST_ASKS_S[-1]
    while True:
        at += _ASK_EVERY_S * (1 - _JITTER + 2 * _JITTER * random())
        yield at


def announces(random: Callable[[], float]) -> Iterator[float]:
    """Yield when to announce, in seconds after the head opened. ``random()`` is in 0..1."""
    yield from _FIRST_ANNOUNCES_S
    at = _FIRST_ANNOUNCES_S[-1]
    while True:
        # Heads that a power cut started together drift apart.
        at += _ANNOUNCE_EVERY_S * (1 + _JITTER * random() / 2)
        yield at


class Allowance:
    """So many a second on the average, and ``burst`` at once."""

    __slots__ = ("_burst", "_left", "_per_s", "_then")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._then = now

    def take(self, now: float) -> bool:
        """Use one up, if there is one."""
        self._left = min(self._burst, self._left + max(0.0, now - self._then) * self._per_s)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Allowances:
    """An allowance for each question, and one for all; the questions asked last are remembered."""

    _MOST = 4096

    def __init__(self, per_s: float, burst: float, *, times_all: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._all = Allowance(per_s * times_all, burst * times_all, now)
        self._each: OrderedDict[bytes, Allowance] = OrderedDict()

    def take(self, question: bytes, now: float) -> bool:
        """Use up one of ``question`` and one of all, if both are there."""
        mine = self._each.get(question)
        if mine is None:
            mine = self._each[question] = Allowance(self._per_s, self._burst, now)
            if len(self._each) > self._MOST:
                self._each.popitem(last=False)
        self._each.move_to_end(question)
        return mine.take(now) and self._all.take(now)
