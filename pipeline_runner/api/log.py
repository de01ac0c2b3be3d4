"""The screen of a program: events go to ``logging``, what user code prints to this process."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from pipeline_runner.events import Printed
from pipeline_runner.observe.event_lines import tell
from pipeline_runner.observe.quantity import duration
from pipeline_runner.observe.stream import Stream

if TYPE_CHECKING:
    from pipeline_runner.events import Event
    from pipeline_runner.observe.event_lines import Weight
    from pipeline_runner.observe.snapshot import Snapshot

_LEVELS: dict[Weight, int] = {
    "detail": logging.DEBUG,
    "info": logging.INFO,
    "printed": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Log:
    """Logs as ``pipeline_runner``; printed lines keep their stream, with ``stage[i]`` before."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("pipeline_runner")
        self._out, self._err = Stream(sys.stdout), Stream(sys.stderr)

    def event(self, event: Event) -> None:
        """Log it, or pass on what was printed."""
        told = tell(event)
        if isinstance(event, Printed):
            stream = self._err if event.stream == "stderr" else self._out
            stream.write(f"{told.who} {told.text}\n")
        else:
            self._logger.log(_LEVELS[told.weight], "%s", told.text)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show nothing: a program asks the result."""

    def close(self, final: Snapshot, lost: int) -> None:
        """Log how it ended."""
        level = logging.WARNING if lost or final.dead_letters else logging.INFO
        self._logger.log(
            level,
            "%s %s after %s, %d dead letters, %d items lost",
            final.name,
            final.state,
            duration(final.up_s),
            final.dead_letters,
            lost,
        )

    def restore(self) -> None:
        """There is nothing to give back."""
