"""What a run tells whoever watches it: the protocol every screen implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline_runner.events import Event
    from pipeline_runner.observe.snapshot import Snapshot


class Screen(Protocol):
    """Watches one run. The head calls it from its own thread, so no call may wait or raise."""

    def event(self, event: Event) -> None:
        """Take note of something that happened."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show the run as it is now; called about four times a second."""

    def close(self, final: Snapshot, lost: int) -> None:
        """Give the terminal back and say how the run ended; ``lost`` items are gone for good."""

    def restore(self) -> None:
        """Give the terminal back, saying nothing: after an error. Does nothing once closed."""


class Blank:
    """The screen that shows nothing: ``--ui none``."""

    def event(self, event: Event) -> None:
        """Show nothing."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show nothing."""

    def close(self, final: Snapshot, lost: int) -> None:
        """Show nothing."""

    def restore(self) -> None:
        """There is nothing to give back."""
