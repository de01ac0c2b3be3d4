"""pyzmq PUSH/PULL: from process to process, no server, nothing kept and nothing promised."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import zmq

from benchmarks.peers.chain import Chain, spawn
from benchmarks.peers.server import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from benchmarks.peers.chain import Get, Put

Transport = Literal["ipc", "tcp"]


@dataclass(frozen=True, slots=True)
class PushHop:
    """A PUSH socket connected to the PULL socket bound at ``endpoint``.

    A PUSH socket that closes while the other end has much to read can lose the rest, with an
    infinite linger too (seen over ipc): so the writer stays until the reader has ``ended``.
    """

    endpoint: str
    ended: Event

    @contextmanager
    def writer(self) -> Iterator[Put]:
        """Connect and give send_pyobj; leaving waits for the reader."""
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.connect(self.endpoint)
            yield push.send_pyobj
            self.ended.wait()

    @contextmanager
    def reader(self) -> Iterator[Get]:
        """Bind and give recv_pyobj."""
        with zmq.Context() as context, context.socket(zmq.PULL) as pull:
            pull.bind(self.endpoint)
            yield pull.recv_pyobj
        self.ended.set()


@contextmanager
def push_hops(transport: Transport, folder: Path, count: int) -> Iterator[list[PushHop]]:
    """Give ``count`` hops over Unix sockets in ``folder`` or over loopback TCP."""
    if transport == "ipc":
        endpoints = [f"ipc://{folder}/edge-{i}" for i in range(count)]
    else:
        endpoints = [f"tcp://127.0.0.1:{port}" for port in free_ports(count)]
    yield [PushHop(endpoint, spawn.Event()) for endpoint in endpoints]


over_ipc = partial(push_hops, "ipc")
over_tcp = partial(push_hops, "tcp")

PUSHES = (
    Chain("zmq-ipc", over_ipc, items=300_000),
    Chain("zmq-tcp", over_tcp, items=300_000),
    Chain("zmq-ipc-lists", over_ipc, items=4_000_000, batch=1_024),
    Chain("zmq-tcp-lists", over_tcp, items=4_000_000, batch=1_024),
)
