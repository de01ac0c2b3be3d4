"""What a head has to bear from its network: ``python -m benchmarks.attackers flood|silent ...``.

``flood ADDRESS PORT RATE TAG``: datagrams that begin like ours, with the tag of the pipeline's key
(64 bits that anybody on the network can read), and rubbish behind it.
``silent ADDRESS PORT COUNT``: so many connections that say nothing; one that is closed is replaced.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

_SIZE = 512  # bytes, as large as a true one
_TURN_S = 0.01


def flood(address: str, port: int, rate: int, tag: bytes) -> None:
    """Send ``rate`` datagrams a second until killed; print how many there were each second."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, port))
    sock.setblocking(False)
    header = b"PRUN\x01\x01" + tag
    packets = [header + os.urandom(_SIZE - len(header)) for _ in range(256)]
    began, sent, told = time.monotonic(), 0, 1
    while True:
        due = int((time.monotonic() - began) * rate)
        while sent < due:
            try:
                sock.send(packets[sent % 256])
            except OSError:  # a full buffer, or nobody there
                break
            sent += 1
        if time.monotonic() - began > told:
            told += 1
            print(sent, flush=True)
        time.sleep(_TURN_S)


def silent(address: str, port: int, count: int) -> None:
    """Hold ``count`` connections until killed; print a line once all are there."""
    poll, held = select.poll(), {}

    def connect() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((address, port))
        held[sock.fileno()] = sock
        poll.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)

    for _ in range(count):
        connect()
    print(count, flush=True)
    while True:
        for descriptor, _event in poll.poll():
            poll.unregister(descriptor)
            held.pop(descriptor).close()
            connect()
        time.sleep(_TURN_S)


if __name__ == "__main__":
    _program, what, address, port, number, *rest = sys.argv
    if what == "flood":
        flood(address, int(port), int(number), bytes.fromhex(rest[0]))
    else:
        silent(address, int(port), int(number))
