"""What the broker says to workers, on its way: into frames, in shared memory or behind them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pipeline_runner.wire.messages import Granted, Session, Settled

if TYPE_CHECKING:
    import asyncio

    from pipeline_runner.queues.broker.effects import Send
    from pipeline_runner.wire.server.connection import Connection
    from pipeline_runner.wire.shm.arena import Arena
    from pipeline_runner.wire.shm.slots import Slots

ACKNOWLEDGE_S = 0.02


class Outbox:
    """Frames that are queued but not sent. ``arena`` is the memory shared with local workers."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, arena: Arena | None, slots: Slots | None
    ) -> None:
        self._loop = loop
        self._arena = arena
        self._slots = slots
        self._unsent: dict[Connection, None] = {}
        self._acknowledging: dict[Connection, None] = {}

    def put(self, connection: Connection, send: Send) -> None:
        """Queue what the broker says to the worker behind ``connection``."""
        message = send.message
        if isinstance(message, Session):
            self._greet(connection, message)
            return
        data, sent = send.data, None
        if isinstance(message, Granted) and (message.at or message.place):
            if connection.shares:
                data = None if message.at else data
            else:
                if message.at and self._slots is not None:
                    self._slots.lend(message.at)
                    sent = partial(self._slots.give_back, message.at)
                message = replace(message, at=0, place=0)
        connection.queue(message, data, sent=sent)
        if isinstance(message, Settled) and message.ok and message.cursor is None:
            self._acknowledge_later(connection)
        else:
            self._unsent[connection] = None

    def flush(self) -> None:
        """Send what cannot wait."""
        if not self._unsent:
            return
        unsent, self._unsent = self._unsent, {}
        # Last decided, first sent: whoever has new items to work on is woken before the sender
        # that is told so.
        for connection in reversed(unsent):
            self._acknowledging.pop(connection, None)
            connection.flush()

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self._unsent.pop(connection, None)

    def _greet(self, connection: Connection, session: Session) -> None:
        if self._arena is not None and connection.shares:
            connection.queue(session, fd=self._arena.fd)
        else:
            connection.queue(replace(session, slots=0))
        self._unsent[connection] = None

    def _acknowledge_later(self, connection: Connection) -> None:
        """Let a map's acknowledgement travel with its next lease, if one comes soon.

        It waits for nothing else with it, and waking it would take a core from whoever has its
        outputs to work on. A source does wait: for the leave to emit that comes with it.
        """
        if not self._acknowledging:
            self._loop.call_later(ACKNOWLEDGE_S, self._acknowledge)
        self._acknowledging[connection] = None

    def _acknowledge(self) -> None:
        connections, self._acknowledging = self._acknowledging, {}
        for connection in connections:
            connection.flush()
