"""Tells each client that comes which functions to run, and all of them anew when that changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.errors import RunnerError
from pipeline_runner.plan.hosts import Host
from pipeline_runner.queues.managers.frames import header
from pipeline_runner.queues.managers.handshake import FAILURE, MOST_FRAME, RANDOM_BYTES, Handshake

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.clusterer.assignments import Assignments, Work

HANDSHAKE_S = 5.0
MOST_UNKNOWN = 64  # connections that have not shown that they have the key
_MOST_FACTS = 64 * 1024  # bytes
_PREFIX = 4
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # a host gone: 11 s


class Coordinator:
    """Listens at ``listener`` for clients with the key. The queues are on ``queues_port``."""

    def __init__(
        self, listener: socket.socket, authkey: bytes, work: Assignments, queues_port: int
    ) -> None:
        self._listener = listener
        self._authkey = authkey
        self._work = work
        self._queues_port = queues_port
        self._clients: dict[str, tuple[asyncio.StreamWriter, Work]] = {}
        self._unknown = 0
        self._over = False
        self._homeless: dict[str, int] = {}

    def begin(self, loop: asyncio.AbstractEventLoop) -> Callable[[], object]:
        """Listen from now on, and return how to end it."""
        serving = loop.create_task(self._listen())

        def end() -> None:
            self._over = True
            serving.cancel()

        return end

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, sock=self._listener)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._unknown >= MOST_UNKNOWN:
                return
            self._unknown += 1
            try:
                client = await asyncio.wait_for(self._meet(reader, writer), HANDSHAKE_S)
            finally:
                self._unknown -= 1
            await self._employ(client, reader, writer)
        except (OSError, EOFError, asyncio.TimeoutError, RunnerError, msgspec.MsgspecError):
            return  # gone, silent, or not one of ours: nobody else is the worse for it
        except asyncio.CancelledError:
            return  # the server ends; before Python 3.13 asyncio would print a traceback of it
        finally:
            writer.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Host:
        """Have a client show that it has the key, and say what it is."""
        handshake = Handshake(self._authkey, secrets.token_bytes(RANDOM_BYTES))
        _write(writer, handshake.first())
        while not handshake.done:
            try:
                answer = handshake.receive(await _read(reader, MOST_FRAME))
            except RunnerError:
                _write(writer, FAILURE)
                raise
            if answer is not None:
                _write(writer, answer)
        return msgspec.json.decode(await _read(reader, _MOST_FACTS), type=Host)

    async def _employ(
        self, client: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _watch(writer)
        name = self._work.joined(client)
        self._clients[name] = writer, []
        _say(f"{name} joins")
        self._tell()
        try:
            while await reader.read(1):
                continue  # a client has nothing more to say
        finally:
            del self._clients[name]
            self._work.left(name)
            if not self._over:
                _say(f"{name} has left")
                self._tell()

    def _tell(self) -> None:
        """Tell whoever is to run something else than it was told last."""
        for name, (writer, told) in self._clients.items():
            work = self._work.work(name)
            if work != told or not told:
                self._clients[name] = writer, work
                _write(writer, json.dumps({"queues": self._queues_port, "work": work}).encode())
                shown = ", ".join(f"{run.rpartition(':')[2]} x{n}" for run, _queues, n in work)
                _say(f"{name} runs {shown or 'nothing'}")
        homeless = dict(self._work.homeless) if self._clients else {}
        for run in homeless.keys() - self._homeless.keys():
            _say(f"{run} has no client to run on: none fits its rule")
        self._homeless = homeless


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(header(len(frame)) + frame)


async def _read(reader: asyncio.StreamReader, most: int) -> bytes:
    size = int.from_bytes(await reader.readexactly(_PREFIX), "big", signed=True)
    if not 0 <= size <= most:
        raise EOFError(f"a frame of {size} bytes")
    return await reader.readexactly(size)


def _watch(writer: asyncio.StreamWriter) -> None:
    """Notice within seconds that a client's machine is gone."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
