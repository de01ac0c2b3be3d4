"""An agent's line to its head: kept up, noticed when it is down, found again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from pipeline_runner.agent.discovery.reconnect import in_thread
from pipeline_runner.agent.notices import tell_fault
from pipeline_runner.cluster.membership import SILENT_S
from pipeline_runner.errors import NoHead, Refused, RunnerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.agent.discovery.reconnect import Route, Seeker
    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.wire.client.connection import Wire
    from pipeline_runner.wire.endpoint import Endpoint
    from pipeline_runner.wire.messages import Message


class Listener(Protocol):
    """Who is told what happens on the line."""

    def head_found(self, way: Route) -> None:
        """There is a head: say HELLO."""

    def head_said(self, message: Any, body: bytes | memoryview) -> None:
        """The head said something."""

    def head_gone(self) -> None:
        """The head, or the way to it, is gone; :meth:`HeadLink.seek` looks for it again."""

    def head_missed(self, error: RunnerError, tries: int) -> bool:
        """Looking was in vain; return whether to go on."""


class HeadLink:
    """At most one connection at a time."""

    def __init__(self, seeker: Seeker, listener: Listener) -> None:
        self._seeker = seeker
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._is_remote = False
        self._heard = 0.0
        self._search: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is a head to talk to."""
        return self._wire is not None

    def take(self, way: Route) -> None:
        """Use a connection that was just made."""
        self._wire, self._is_remote = way.wire, way.door.is_remote
        self._heard = self._loop.time()
        self._loop.add_reader(way.wire.sock, self._receive)
        self._listener.head_found(way)
        self._receive()  # what came before we watched wakes nobody

    def seek(self) -> None:
        """Look for the head until it is there, or the listener says that it is enough."""
        if self._search is None or self._search.done():
            self._search = self._loop.create_task(self._seek())
            self._search.add_done_callback(tell_fault)

    def send(self, message: Message, bodies: Sequence[bytes | memoryview] = ()) -> None:
        """Send if there is somebody to send to."""
        if self._wire is None:
            return
        try:
            self._wire.send(message, bodies)
        except OSError:
            self.drop()

    def rekey(self, key: bytes) -> tuple[Identity, Endpoint] | None:
        """Find the head by another key from now on; return what is new, if anything is.

        The connection that is up stays: it has proved itself.
        """
        return self._seeker.rekey(key)

    def look(self, now: float) -> None:
        """Take a head that has not said a word for long for gone: it answers every BEAT."""
        if self._wire is None or not self._is_remote:
            return
        if now - max(self._heard, self._wire.heard) >= SILENT_S:  # half a message is a word too
            self.drop()

    def drop(self) -> None:
        """Hang up, as if the head had; does nothing where there is no connection."""
        if self.close():
            self._listener.head_gone()

    def close(self) -> bool:
        """Hang up and tell nobody; return whether there was a connection."""
        wire, self._wire = self._wire, None
        if wire is None:
            return False
        self._loop.remove_reader(wire.sock)
        wire.close()
        return True

    def _receive(self) -> None:
        wire = self._wire
        if wire is None:
            return
        try:
            arrived = wire.receive_now()
        except (EOFError, OSError):
            self.drop()
            return
        if arrived:
            self._heard = self._loop.time()
        for message, body in arrived:
            self._listener.head_said(message, body)

    async def _seek(self) -> None:
        tries = 0
        while True:
            await asyncio.sleep(self._seeker.pause_s(tries))
            try:
                way: Route = await in_thread(self._seeker.seek)
            except (NoHead, Refused, OSError, EOFError) as error:
                tries += 1
                told = error if isinstance(error, RunnerError) else NoHead(str(error))
                if not self._listener.head_missed(told, tries):
                    return
                continue
            self._search = None
            self.take(way)
            return
