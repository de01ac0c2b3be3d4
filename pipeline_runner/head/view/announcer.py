"""What the head has to say, as events for the screen and lines for the log files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from pipeline_runner import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.head.control.subscribers import Subscribers
    from pipeline_runner.head.view.log_files import LogFiles
    from pipeline_runner.queues.broker.effects import Failed, Finished, Stopped
    from pipeline_runner.queues.broker.transaction import Letter
    from pipeline_runner.wire.control_messages import Lines


class Announcer:
    """Puts what happened into words' raw material, and a time to each."""

    def __init__(self, screen: Subscribers, logs: LogFiles) -> None:
        self._screen = screen
        self._logs = logs

    def say(self, text: str, hint: str = "", level: Literal["info", "warning"] = "info") -> None:
        """Say one sentence."""
        self._screen.event(events.Notice(time.time(), level, text, hint))

    def warn(self, text: str, hint: str = "") -> None:
        """Say one sentence that somebody should act on."""
        self.say(text, hint, "warning")

    def failed(self, failed: Failed) -> None:
        """An attempt failed."""
        self._screen.event(
            events.ItemFailed(
                time.time(),
                failed.stage,
                failed.item_id,
                failed.attempt,
                failed.attempts,
                failed.error,
                failed.retry_s,
            )
        )

    def finished(self, finished: Finished) -> None:
        """A stage is through."""
        self._screen.event(events.StageFinished(time.time(), finished.stage))

    def stopped(self, stopped: Stopped) -> None:
        """A failure ends the run."""
        text = f"{stopped.stage} failed for good and says on_failure = stop: {stopped.error}"
        self._screen.event(events.Notice(time.time(), "error", text))

    def dead_lettered(self, letters: Sequence[Letter]) -> None:
        """Dead letters are on disk."""
        for letter in letters:
            self._screen.event(
                events.DeadLettered(
                    time.time(),
                    letter.letter,
                    letter.stage,
                    letter.item_id,
                    letter.host,
                    letter.error,
                )
            )

    def printed(self, host: str, message: Lines) -> None:
        """User code printed lines."""
        for line in message.lines:
            stream: Literal["stdout", "stderr"]
            stream = "stderr" if line.stream == "stderr" else "stdout"
            printed = events.Printed(
                line.ts, host, line.stage, line.index, line.pid, stream, line.text
            )
            self._screen.event(printed)
            self._logs.write(printed)
