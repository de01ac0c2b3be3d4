"""Everything that passes over the switch: who said what to whom, and when."""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hosts.lan import Host, Lan

TCP, UDP = 6, 17
_IPV4 = 0x0800
_TIMESTAMPS = 35  # SO_TIMESTAMPNS, of Linux; Python does not name it


@dataclass(frozen=True)
class Packet:
    """One IPv4 packet; ``at_s`` by the monotonic clock, when the kernel had it."""

    at_s: float
    protocol: int
    source: str
    source_port: int
    to: str
    to_port: int
    data: bytes


class Tap:
    """Reads the switch until it is closed; keeps what is TCP or UDP."""

    def __init__(self, heard: socket.socket) -> None:
        self.packets: list[Packet] = []
        self._heard = heard
        self._heard.settimeout(0.1)
        self._heard.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        self._until = math.inf
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def between(self, one: str, other: str, protocol: int) -> list[Packet]:
        """Return what two addresses said to each other, in order."""
        ends = {one, other}
        return [
            packet
            for packet in tuple(self.packets)
            if {packet.source, packet.to} == ends and packet.protocol == protocol
        ]

    def udp_from(self, address: str, port: int) -> list[Packet]:
        """Return the datagrams that an address sent to a port, in order."""
        return [
            packet
            for packet in tuple(self.packets)
            if (packet.protocol, packet.source, packet.to_port) == (UDP, address, port)
        ]

    def close(self) -> None:
        """Stop, once what was on the wire by now has been read."""
        self._until = time.monotonic()
        self._thread.join()
        self._heard.close()

    def _read(self) -> None:
        while True:
            try:
                frame, about, _flags, _address = self._heard.recvmsg(65_536, 64)
            except TimeoutError:
                if self._until < math.inf:
                    return
                continue
            at_s = _when(about)
            if at_s > self._until:
                return
            packet = read(frame, at_s)
            if packet is not None:
                self.packets.append(packet)


@contextmanager
def tap(lan: Lan, only: Host | None = None) -> Iterator[Tap]:
    """Give what passes over the switch from here on, or over the cable of one host."""
    heard = Tap(lan.listener(only))
    try:
        yield heard
    finally:
        heard.close()


def _when(about: list[tuple[int, int, bytes]]) -> float:
    """Return the kernel's time of a frame, by the monotonic clock; now, if it gave none."""
    for _level, kind, data in about:
        if kind == _TIMESTAMPS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return time.monotonic() - (time.time() - seconds - nanoseconds / 1e9)
    return time.monotonic()


def read(frame: bytes, at_s: float) -> Packet | None:
    """Return the packet in an Ethernet frame; None if it is neither TCP nor UDP over IPv4."""
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != _IPV4:
        return None
    head_size, size = (frame[14] & 15) * 4, struct.unpack_from("!H", frame, 16)[0]
    protocol = frame[23]
    packet = frame[14 : 14 + size]
    if protocol not in (TCP, UDP) or len(packet) < head_size + 8:
        return None
    source_port, to_port = struct.unpack_from("!HH", packet, head_size)
    skip = 8 if protocol == UDP else (packet[head_size + 12] >> 4) * 4
    return Packet(
        at_s,
        protocol,
        socket.inet_ntoa(packet[12:16]),
        source_port,
        socket.inet_ntoa(packet[16:20]),
        to_port,
        packet[head_size + skip :],
    )
