"""Who stands before the head's door and has not shown yet who it is: how many, and for how long.

An honest peer answers at once, so when there are too many, the one that has stood longest goes, of
the address that sent the most; an address whose proofs fail is looked at later and later.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

STEP_S = 5.0  # for each step: bytes of a handshake, a proof, a HELLO
WHOLE_S = 20.0  # for all of them: a slow link is no offence, a trickle is
MOST = 64
FORGET_S = 60.0  # after so long without a failure an address is as good as any other
_FIRST_WAIT_S, _MOST_WAIT_S = 0.25, 8.0
_MOST_ADDRESSES = 1024  # to remember failures of
_QUIET_S = 10.0
_MOST_WORDS = 100  # different ones, within that time

Guest = TypeVar("Guest")


@dataclass(frozen=True, slots=True)
class _Stay:
    address: str
    until: float  # without another step
    at_most: float


class Admission(Generic[Guest]):
    """Everybody who has not been let in yet, oldest first."""

    def __init__(self) -> None:
        self._stays: OrderedDict[Guest, _Stay] = OrderedDict()
        self._crowds: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._stays)

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._stays

    def everybody(self) -> list[Guest]:
        """Return all who are here."""
        return list(self._stays)

    def enter(self, guest: Guest, address: str, now: float) -> None:
        """Somebody has come. ``address`` is empty for a peer on this host."""
        self._stays[guest] = _Stay(address, now + STEP_S, now + WHOLE_S)
        self._crowds[address] += 1

    def stepped(self, guest: Guest, now: float) -> None:
        """It has said something, and has time to say more."""
        stay = self._stays[guest]
        self._stays[guest] = replace(stay, until=min(now + STEP_S, stay.at_most))

    def replaced(self, guest: Guest, by: Guest) -> None:
        """The same peer stands there as ``by`` now; its time runs on."""
        self._stays[by] = self._stays.pop(guest)

    def leave(self, guest: Guest) -> None:
        """It was let in, or has gone; does nothing for one that is not here."""
        stay = self._stays.pop(guest, None)
        if stay is not None:
            self._crowds[stay.address] -= 1
            if not self._crowds[stay.address]:
                del self._crowds[stay.address]

    def surplus(self) -> Guest | None:
        """Return who has to go because there are too many."""
        return self.oldest() if len(self._stays) > MOST else None

    def oldest(self) -> Guest | None:
        """Return who has stood longest, of the address with the most; None of nobody."""
        if not self._stays:
            return None
        crowd = max(self._crowds.values())
        return next(g for g, stay in self._stays.items() if self._crowds[stay.address] == crowd)

    def late(self, now: float) -> list[Guest]:
        """Return those whose time is over."""
        return [guest for guest, stay in self._stays.items() if stay.until <= now]

    def next_late(self) -> float | None:
        """Return when the next one's time is over."""
        return min((stay.until for stay in self._stays.values()), default=None)


class FailedProofs:
    """Failed proofs by address, and how long each address has to wait for them."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, address: str, now: float) -> None:
        """A proof failed."""
        count, since = self._failed.pop(address, (0, now))
        self._failed[address] = (1 if now - since >= FORGET_S else count + 1, now)
        while len(self._failed) > _MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def passed(self, address: str) -> None:
        """Somebody from there has the key."""
        self._failed.pop(address, None)

    def wait_s(self, address: str, now: float) -> float:
        """Return how long to leave a new connection from ``address`` alone."""
        count, since = self._failed.get(address, (0, now))
        if not count or now - since >= FORGET_S:
            return 0.0
        wait_s = min(_FIRST_WAIT_S * 2.0 ** (count - 1), _MOST_WAIT_S)
        return max(0.0, since + wait_s - now)


class LogThrottle:
    """Lets each thing be said once in ten seconds, with how often it was left unsaid."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def words(self, text: str, now: float) -> str:
        """Return what to say of ``text``, empty for nothing."""
        while self._said and now - next(iter(self._said.values()))[0] >= FORGET_S:
            self._said.popitem(last=False)
        since, unsaid = self._said.get(text, (now - _QUIET_S, 0))
        if now - since < _QUIET_S:
            self._said[text] = since, unsaid + 1
            return ""
        if text not in self._said and len(self._said) >= _MOST_WORDS:
            return ""  # from so many sides at once, one more line tells nothing new
        self._said.pop(text, None)
        self._said[text] = now, 0
        return f"{text} ({unsaid} more like it)" if unsaid else text
