"""The keys that a head takes for its own: one, and for a minute after a change the former. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.cluster.identity import Identity

FORMER_S = 60.0  # hosts that are cut off for a moment still get in to be told the new key


class Keyring:
    """The identity of a head, which can be changed while it runs."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._former: dict[Identity, float] = {}

    @property
    def identity(self) -> Identity:
        """The one that counts."""
        return self._identity

    def accepted(self, now: float) -> tuple[Identity, ...]:
        """Return every identity that is taken now, the one that counts first."""
        self._former = {each: until for each, until in self._former.items() if until > now}
        return (self._identity, *self._former)

    def rotate(self, new: Identity, now: float) -> float:
        """Let ``new`` count from now on, and return when the former is over."""
        until = now + FORMER_S
        former, self._identity = self._identity, new
        self._former.pop(new, None)
        self._former[former] = until
        return until
