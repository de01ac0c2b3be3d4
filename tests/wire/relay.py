"""Somebody in the middle: speaks TLS with both sides, with a certificate of their own."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline_runner.cluster.certificate import certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Relay:
    """Passes everything on, and keeps what it read: ``seen``, from client and head."""

    def __init__(self, folder: Path, port: int) -> None:
        own = certificate(folder)
        self.seen: dict[str, bytes] = {"client": b"", "head": b""}
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.load_cert_chain(own.cert, own.key)
        self._client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client.check_hostname = False
        self._client.verify_mode = ssl.CERT_NONE
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _address = self._listener.accept()
                with suppress(OSError), sock:
                    self._pass_on(sock)

    def _pass_on(self, sock: socket.socket) -> None:
        with (
            self._server.wrap_socket(sock, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self._port)) as plain,
            self._client.wrap_socket(plain) as head,
        ):
            sides = {client: ("client", head), head: ("head", client)}
            while True:
                for ready in select.select(list(sides), [], [], 10)[0]:
                    name, other = sides[ready]
                    data = ready.recv(65536)
                    if not data:
                        return
                    self.seen[name] += data
                    other.sendall(data)


@contextmanager
def relay(folder: Path, port: int) -> Iterator[Relay]:
    folder.mkdir()
    between = Relay(folder, port)
    try:
        yield between
    finally:
        between.close()
