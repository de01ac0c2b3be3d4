"""The UDP sockets of discovery: what hears broadcasts, what sends them, and on which address."""

from __future__ import annotations

import socket
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline_runner.cluster.interfaces import Interface

_BUFFER = 1024**2  # bytes; what arrives while a head is busy waits here
_PACKET_INFO = 8 if sys.platform == "linux" else 26  # IP_PKTINFO, which not every Python names
_INFO = struct.Struct("=i4s4s")  # interface, our address, the address that it was sent to
_ROOM = 64  # bytes, for it


class Arrived(NamedTuple):
    """A datagram, empty if it was too large; where it is from, and to which of our addresses."""

    data: bytes
    source: tuple[str, int]
    here: str


def listener(port: int, *, large: bool = False) -> socket.socket:
    """Return a socket that hears every broadcast to ``port``, as others here do too.

    With ``large`` it keeps many until they are read. Raises OSError.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if large:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.setsockopt(socket.IPPROTO_IP, _PACKET_INFO, 1)
        sock.bind(("", port))
    except OSError:
        sock.close()
        raise
    return sock


def sender(interface: Interface) -> socket.socket:
    """Return a socket whose broadcasts leave by ``interface``. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # Unbound, it would leave by the default route alone.
        sock.bind((interface.address, 0))
    except OSError:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket, most: int) -> Arrived:
    """Return the next datagram, of ``most`` bytes at most. Raises OSError, BlockingIOError too."""
    data, about, flags, source = sock.recvmsg(most, _ROOM)
    here = bytes(4)
    for level, kind, info in about:
        if (level, kind) == (socket.IPPROTO_IP, _PACKET_INFO):
            here = _INFO.unpack_from(info)[1]
    return Arrived(b"" if flags & socket.MSG_TRUNC else data, source, socket.inet_ntoa(here))


def answer(sock: socket.socket, data: bytes, to: Arrived) -> None:
    """Send ``data`` back, from the address that was asked: the asker connects to it.

    Raises OSError.
    """
    info = _INFO.pack(0, socket.inet_aton(to.here), bytes(4))
    sock.sendmsg([data], [(socket.IPPROTO_IP, _PACKET_INFO, info)], 0, to.source)
