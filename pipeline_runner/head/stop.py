"""Whether and how a run has been asked to end."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline_runner.errors import ExitCode

if TYPE_CHECKING:
    from pipeline_runner.errors import RunnerError
    from pipeline_runner.observe.snapshot import RunState

AGAIN_AFTER_S = 0.2  # a second Ctrl-C sooner is the same one: a shell may send it twice
SIGNALS = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


@dataclass(slots=True)
class Stop:
    """What was asked for. Times are monotonic seconds."""

    draining_until: float | None = None  # sources have ended, the backlog may drain so long
    asked_at: float | None = None
    asked_by: signal.Signals | None = None  # None: by `down`, or by a failure
    code: ExitCode | None = None  # stop at once, and end with this
    failed: bool = False  # a stage with on_failure = "stop" had a failure for good
    broken: RunnerError | None = None  # nothing more may be answered: the disk, or we ourselves
    workers: bool = False  # they have been told to go

    def signalled(self, number: signal.Signals, at: float) -> Literal["drain", "now", "nothing"]:
        """Take in Ctrl-C or SIGTERM that came ``at``: the first drains, the next stops at once."""
        if self.asked_at is None:
            self.asked_at, self.asked_by = at, number
            return "drain"
        return "now" if at - self.asked_at >= AGAIN_AFTER_S else "nothing"

    def state(self, *, finished: bool, left: bool, running: bool) -> RunState:
        """Return the state of the run for whoever watches."""
        if self.failed:
            return "failed"
        if finished:
            return "finished"
        if self.code is not None or (left and self.draining_until is not None):
            return "stopped"
        if self.draining_until is not None:
            return "draining"
        return "running" if running else "starting"

    def exit_code(self, *, left: int, dead: bool) -> ExitCode:
        """Return what the shell sees: OK only if ``left``, the items that are not gone, is 0.

        Whether they are lost or a journal has them is the same to a script that goes on behind.
        """
        if self.code is not None:
            return self.code
        if left and self.asked_by == signal.SIGINT:
            return ExitCode.INTERRUPTED
        return ExitCode.ERRORS if dead or left or self.failed else ExitCode.OK
