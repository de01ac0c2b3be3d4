"""A bad line as :mod:`tests.faults.proxy` makes it, over TLS: it has the head's own certificate.

So it can read along, and what both sides prove of their key it passes on as it is.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pipeline_runner.cluster.certificate import certificate
from pipeline_runner.wire.endpoint import Endpoint
from pipeline_runner.wire.framing import HEADER_SIZE, read_header
from pipeline_runner.wire.proof import MAGIC
from tests.faults.altered import SEALED_KEY, SEALED_LINE, SEALED_PORT
from tests.faults.proxy import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Project

_SIZES_OF_OPENING = slice(6, 8)


class SealedLine(Line):
    """The line, with a TLS connection on either side of it."""

    def __init__(self, *arguments: Any, server: ssl.SSLContext, **bounds: int) -> None:
        self._server = server
        self._client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client.check_hostname, self._client.verify_mode = False, ssl.CERT_NONE
        super().__init__(*arguments, **bounds)

    def _join(self, worker: socket.socket, head: socket.socket) -> None:
        threading.Thread(target=self._both_ways, args=(worker, head), daemon=True).start()

    def _both_ways(self, worker: socket.socket, head: socket.socket) -> None:
        with (
            suppress(OSError, EOFError),
            self._server.wrap_socket(worker, server_side=True) as client,
            self._client.wrap_socket(head) as front,
        ):
            self._pass_frames(client, front)
        self._part(worker, head)

    def _pass_frames(self, client: ssl.SSLSocket, front: ssl.SSLSocket) -> None:
        """Pass everything on until a fault is done. Raises EOFError or OSError at the end."""
        ways = {client: (front, bytearray()), front: (client, bytearray())}
        while True:
            for source in select.select(list(ways), [], [])[0]:
                target, partial = ways[source]
                _receive(source, partial)
                for frame in _frames(partial):
                    harm = self._from_head if source is front else self._cuts_it
                    left = None if frame.startswith(MAGIC) else harm(frame)
                    target.sendall(frame if left is None else left)
                    if left is not None:
                        return


def _receive(source: ssl.SSLSocket, partial: bytearray) -> None:
    while True:
        data = source.recv(65536)
        if not data:
            raise EOFError
        partial += data
        if not source.pending():
            return


def _frames(partial: bytearray) -> Iterator[bytes]:
    """Take whole frames, and messages of an opening, off what has arrived."""
    while len(partial) >= HEADER_SIZE:
        if partial.startswith(MAGIC):
            size = HEADER_SIZE + int.from_bytes(partial[_SIZES_OF_OPENING], "big")
        else:
            size = HEADER_SIZE + sum(read_header(partial))
        if len(partial) < size:
            return
        yield bytes(partial[:size])
        del partial[:size]


@contextmanager
def sealed_line(project: Project, *, drops: int, cuts: int, seed: int) -> Iterator[Line]:
    """Give a bad line to a project's head, whose workers find it as a TCP door."""
    own = certificate(project.root)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(own.cert, own.key)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    door = Endpoint(host="127.0.0.1", port=port, fingerprint=own.fingerprint, key=SEALED_KEY.hex())
    (project.root / SEALED_LINE).write_text(json.dumps(door.as_json()))

    def connect() -> socket.socket:
        return socket.create_connection(
            ("127.0.0.1", int((project.root / SEALED_PORT).read_text()))
        )

    bad = SealedLine(listener, connect, server=server, drops=drops, cuts=cuts, seed=seed)
    try:
        yield bad
    finally:
        bad.close()
