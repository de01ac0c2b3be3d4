"""What an agent does when its head is gone, as a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# "hold": the workers go on with what they hold; "wait": there are none, until the next run;
# "clear": end the workers, and wait; "end": end them, and the agent too.
Step = Literal["hold", "wait", "clear", "end"]


@dataclass(frozen=True, slots=True)
class DisconnectPolicy:
    """How things stand between two heads. Times are monotonic seconds.

    ``since`` is when the head went, ``hold_s`` how long it said that its run outlives it: 0 for
    a run that ends with its head. ``dismissed`` is the reason the head gave for going, if it gave
    one; ``known_dead`` is set once nobody listens where it was.
    """

    local: bool
    once: bool
    since: float
    hold_s: float
    dismissed: str = ""
    known_dead: bool = False
    leaving: bool = False
    workers: int = 0

    @property
    def is_orderly(self) -> bool:
        """Whether the end of this agent would be what somebody asked for."""
        return bool(self.dismissed) or self.leaving or self.local


def next_step(parting: DisconnectPolicy, now: float) -> Step:
    """Return what to do now that there is no head."""
    if parting.local:
        over = not parting.hold_s or now - parting.since >= parting.hold_s
        return "end" if over else "hold"
    if parting.leaving:
        return "hold" if parting.workers else "end"
    if parting.dismissed == "drained":
        return "end"
    if parting.dismissed or (parting.known_dead and not parting.hold_s):
        if parting.once:
            return "end"
        return "clear" if parting.workers else "wait"
    return "hold"  # it, or the way to it, may be back at any time
