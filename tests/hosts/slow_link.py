"""A slow link between two hosts: so many bytes a second each way, and each of them late."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hosts.lan import Host

_CHUNK = 1400


class _Way:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.ended = False
        self.under_way: deque[tuple[float, bytes]] = deque()


class SlowLink:
    """A relay on ``host``: who connects to ``port`` there is connected to ``address``, slowly.

    All connections share the link; each gets its turn.
    """

    def __init__(
        self, host: Host, address: tuple[str, int], bytes_per_s: float, late_s: float
    ) -> None:
        self.passed = 0
        self._host = host
        self._address = address
        self._pause_s = _CHUNK / bytes_per_s
        self._late_s = late_s
        self._ways: list[_Way] = []
        self._over = False
        self._listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self._listener.settimeout(0.2)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [
            threading.Thread(target=self._accept, daemon=True),
            threading.Thread(target=self._carry, args=(0,), daemon=True),
            threading.Thread(target=self._carry, args=(1,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._over = True
        for thread in self._threads:
            thread.join(10)
        for way in self._ways:
            way.source.close()
            way.target.close()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over:
            with suppress(TimeoutError):
                here, _from = self._listener.accept()
                there = self._host.socket(socket.AF_INET, socket.SOCK_STREAM)
                there.connect(self._address)
                self._ways += [_Way(here, there), _Way(there, here)]

    def _carry(self, direction: int) -> None:
        """Take a chunk from each connection in turn, and deliver what is due."""
        while not self._over:
            ways = self._ways[direction::2]
            for way in ways:
                self._deliver(way)
            waiting = [way for way in ways if not way.ended]
            ready = select.select([way.source for way in waiting], [], [], 0.01)[0]
            for way in waiting:
                if way.source in ready:
                    self._take(way)

    def _take(self, way: _Way) -> None:
        try:
            data = way.source.recv(_CHUNK)
        except OSError:
            data = b""
        way.under_way.append((time.monotonic() + self._late_s, data))
        if not data:
            way.ended = True
            return
        self.passed += len(data)
        time.sleep(self._pause_s)
        self._deliver(way)

    def _deliver(self, way: _Way) -> None:
        while way.under_way and way.under_way[0][0] <= time.monotonic():
            _due, data = way.under_way.popleft()
            with suppress(OSError):
                way.target.sendall(data) if data else way.target.shutdown(socket.SHUT_WR)


@contextmanager
def slow_link(
    host: Host, address: tuple[str, int], *, bits_per_s: float, late_s: float
) -> Iterator[SlowLink]:
    link = SlowLink(host, address, bits_per_s / 8, late_s)
    try:
        yield link
    finally:
        link.close()
