"""Who watches a run: the screen it was started on, and command lines that attached to it."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline_runner.events import Notice, Printed
from pipeline_runner.observe.event_lines import tell
from pipeline_runner.wire.control_messages import Answer

if TYPE_CHECKING:
    from pipeline_runner.errors import ExitCode, RunnerError
    from pipeline_runner.events import Event
    from pipeline_runner.observe.screen import Screen
    from pipeline_runner.observe.snapshot import Snapshot
    from pipeline_runner.queues.server.server import QueueServer
    from pipeline_runner.wire.server.connection import Connection

# A terminal that was stopped must not fill the head's memory: past this, it misses lines.
_MOST_FRAMES = 2000
_LAST_EVENTS = 50  # told to whoever comes later


class Subscribers:
    """A screen that tells ``screen``, and everybody who attached, what it is told."""

    def __init__(self, screen: Screen, server: QueueServer) -> None:
        self._screen = screen
        self._server = server
        self._missed: dict[Connection, int] = {}
        self._last: deque[Event] = deque(maxlen=_LAST_EVENTS)

    def add(self, connection: Connection, facts: dict[str, Any]) -> None:
        """Tell a command line from now on, and what was told last before.

        ``facts`` say first what it attached to.
        """
        self._missed[connection] = 0
        self._server.send(connection, Answer(facts))
        if count := sum(tell(event).weight != "detail" for event in self._last):
            text = f"the last {count} events so far:" if count > 1 else "the last event so far:"
            self._tell(connection, Notice(self._last[0].ts, "info", text))
        for event in self._last:
            self._tell(connection, event)

    def remove(self, connection: Connection) -> None:
        """Forget a command line; does nothing if it never watched."""
        self._missed.pop(connection, None)

    def event(self, event: Event) -> None:
        """Tell of an event; one that is behind misses lines, and is told how many."""
        self._screen.event(event)
        self._last.append(event)
        for connection, missed in tuple(self._missed.items()):
            if connection.behind < _MOST_FRAMES:
                self._catch_up(connection, event.ts)
                self._tell(connection, event)
            elif isinstance(event, Printed):
                self._missed[connection] = missed + 1

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show the run to everybody who has seen the last one."""
        self._screen.snapshot(snapshot)
        ready = [connection for connection in self._missed if not connection.behind]
        if ready:
            message = Answer({"snapshot": snapshot.as_json()})
            for connection in ready:
                self._server.send(connection, message)

    def ended(self, final: Snapshot, lost: int, kept: int, code: ExitCode) -> None:
        """Tell everybody who attached how the run ended; their connections are closed next."""
        facts = {"lost": lost, "kept": kept, "exit_code": int(code)}
        for connection in tuple(self._missed):
            self._server.send(connection, Answer({"final": final.as_json(), **facts}))

    def failed(self, error: RunnerError) -> None:
        """Tell everybody who attached that the run ended in an error."""
        for connection in tuple(self._missed):
            self._server.send(connection, Answer.refusing(error))

    def close(self, final: Snapshot, lost: int) -> None:
        """Say how the run ended on its own screen."""
        self._screen.close(final, lost)

    def restore(self) -> None:
        """Give its own terminal back."""
        self._screen.restore()

    def _catch_up(self, connection: Connection, ts: float) -> None:
        missed = self._missed[connection]
        if missed:
            self._missed[connection] = 0
            text = f"{missed:,} lines were printed too fast to be shown here"
            self._tell(connection, Notice(ts, "warning", text))

    def _tell(self, connection: Connection, event: Event) -> None:
        message = Answer({"event": type(event).__name__, "fields": asdict(event)})
        self._server.send(connection, message)
