"""Blobs over one bare TLS connection: ``python -m benchmarks.peers.raw_tls receive|send ...``.

What a program does that has nothing but ``ssl``: it sends, and the other end receives. Nothing is
acknowledged, and nothing survives.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from pathlib import Path

if __name__ == "__main__":  # a script's own folder comes first; the project's root is needed
    sys.path[0] = str(Path(__file__).parents[2])

from benchmarks import stages

PORT = 50999


def receive(address: str, certificate: str, key: str) -> None:
    """Listen, take one connection, and give every blob of it to the sink."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    sink = stages.AllOfBlobs()
    blob = bytearray(int(os.environ["BENCH_SIZE"]))
    with socket.create_server((address, PORT)) as listener:
        plain, _from = listener.accept()
        with context.wrap_socket(plain, server_side=True) as sock:
            for _ in range(int(os.environ["BENCH_ITEMS"]) + 1):
                _fill(sock, memoryview(blob))
                sink(blob)
    sink.close()


def _fill(sock: ssl.SSLSocket, room: memoryview) -> None:
    have = 0
    while have < len(room):
        got = sock.recv_into(room[have:])
        if not got:
            raise EOFError("the sender is gone")
        have += got


def send(address: str) -> None:
    """Connect and send every blob."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, PORT), 10) as plain,
        context.wrap_socket(plain) as sock,
    ):
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for blob in stages.generate_blobs():
            sock.sendall(blob)
        sock.recv(1)  # its end: to close before, with something unread, would be a reset


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
