"""RabbitMQ: durable queues, persistent messages, an acknowledgement each, through pika."""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pika  # type: ignore[import-untyped, unused-ignore]

from benchmarks.peers.chain import Chain
from benchmarks.peers.server import free_ports, listens, program, server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pika.adapters.blocking_connection import (  # type: ignore[import-untyped, unused-ignore]
        BlockingChannel,
    )

    from benchmarks.peers.chain import Get, Put

PREFETCH = 100
# Debian's own program changes the user and keeps its log in /var; this one is beneath it.
_FOLDER = "/usr/lib/rabbitmq/bin"


@contextmanager
def _channel(port: int) -> Iterator[BlockingChannel]:
    # No heartbeat: a client that only publishes would not answer one.
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0))
    try:
        yield connection.channel()
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class DurableHop:
    """A durable queue of the default exchange."""

    port: int
    name: str

    @contextmanager
    def writer(self) -> Iterator[Put]:
        """Connect and publish persistent messages, without confirms, as the tutorial does."""
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        with _channel(self.port) as channel:
            yield lambda item: channel.basic_publish(
                "", self.name, pickle.dumps(item, 5), persistent
            )

    @contextmanager
    def reader(self) -> Iterator[Get]:
        """Connect and consume, ``PREFETCH`` ahead, acknowledging each after its result."""
        with _channel(self.port) as channel:
            channel.basic_qos(prefetch_count=PREFETCH)
            items = self._items(channel)
            yield lambda: next(items)

    def _items(self, channel: BlockingChannel) -> Iterator[Any]:
        for method, _, body in channel.consume(self.name):
            assert method is not None
            assert body is not None
            yield pickle.loads(body)
            channel.basic_ack(method.delivery_tag)


@contextmanager
def durable_hops(port: int, folder: Path, count: int) -> Iterator[list[DurableHop]]:
    """Give ``count`` queues, gone after the run."""
    hops = [DurableHop(port, f"{folder.name}-{i}") for i in range(count)]
    with _channel(port) as channel:
        for hop in hops:
            channel.queue_declare(hop.name, durable=True)
    try:
        yield hops
    finally:
        with _channel(port) as channel:
            for hop in hops:
                channel.queue_delete(hop.name)


@contextmanager
def rabbitmq_server(folder: Path) -> Iterator[int]:
    """Serve RabbitMQ on loopback, its files in ``folder``; give its port."""
    port, between, names = free_ports(3)
    config = folder / "rabbitmq.conf"
    config.write_text(f"listeners.tcp.default = 127.0.0.1:{port}\n")
    (folder / "plugins").write_text("[].\n")
    env = {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names),
        "HOME": str(folder),  # where Erlang keeps its cookie
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_DIST_PORT": str(between),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    command = program("rabbitmq-server", _FOLDER) or "rabbitmq-server"
    # Erlang's name service is started here, or a daemon of it would stay behind.
    with (
        server(["epmd", "-port", str(names)], folder, lambda: listens(names), env),
        server([command], folder, lambda: listens(port), env),
    ):
        yield port


@contextmanager
def peers(folder: Path) -> Iterator[list[Chain]]:
    """Start a server and give the peers that use it."""
    with rabbitmq_server(folder) as port:
        hops = partial(durable_hops, port)
        yield [
            Chain("rabbitmq", hops, items=5_000),
            Chain("rabbitmq-lists", hops, items=1_000_000, batch=1_000),
        ]
