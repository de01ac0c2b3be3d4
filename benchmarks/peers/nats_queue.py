"""NATS: plain subjects, and JetStream's work queues on disk, through nats-py."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import nats
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType

from benchmarks.peers.async_chain import run_async_stage
from benchmarks.peers.chain import Chain, spawn
from benchmarks.peers.server import free_ports, listens, server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from benchmarks.peers.async_chain import Get, Put

FETCH_AT_ONCE = 100
WINDOW = 64
CONFIG = """
listen: "127.0.0.1:{port}"
max_payload: 8MB
max_pending: 2GB        # a reader that is behind is not cut off
write_deadline: "60s"
jetstream {{ store_dir: "{folder}/jetstream" }}
"""


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Client]:
    client = await nats.connect(url, pending_size=64 * 1024 * 1024)
    try:
        yield client
    finally:
        await client.drain()


@dataclass(frozen=True, slots=True)
class SubjectHop:
    """Publish and subscribe; the server keeps nothing, so the writer waits for the reader."""

    url: str
    subject: str
    subscribed: Event

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Put]:
        """Connect and publish each item; leaving flushes."""
        self.subscribed.wait()
        async with _connected(self.url) as client:
            yield lambda item: client.publish(self.subject, pickle.dumps(item, 5))
            await client.flush(timeout=60)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Get]:
        """Connect and subscribe, without the client's limit of what may wait."""
        arrived: asyncio.Queue[bytes] = asyncio.Queue()

        async def note(message: Msg) -> None:
            arrived.put_nowait(message.data)

        async def get() -> Any:
            return pickle.loads(await arrived.get())

        async with _connected(self.url) as client:
            await client.subscribe(
                self.subject, cb=note, pending_msgs_limit=-1, pending_bytes_limit=-1
            )
            await client.flush(timeout=60)
            self.subscribed.set()
            yield get


@dataclass(frozen=True, slots=True)
class WorkQueueHop:
    """A stream on disk; each message is acknowledged after its result was published.

    ``window`` is how many publishes may wait for the server to say that it has stored them.
    """

    url: str
    subject: str
    window: int

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Put]:
        """Connect and publish."""
        async with _connected(self.url) as client:
            stream = client.jetstream(timeout=60, publish_async_max_pending=self.window)
            publish = stream.publish if self.window == 1 else stream.publish_async
            yield lambda item: publish(self.subject, pickle.dumps(item, 5))
            await stream.publish_async_completed()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Get]:
        """Connect and fetch up to ``FETCH_AT_ONCE`` a call."""
        async with _connected(self.url) as client:
            stream = client.jetstream(timeout=60)
            pull = await stream.pull_subscribe(
                self.subject,
                durable="only",
                config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1_000),
            )
            messages = self._messages(pull)
            yield messages.__anext__
            await messages.aclose()

    async def _messages(self, pull: Any) -> AsyncGenerator[Any, None]:
        while True:
            try:
                fetched = await pull.fetch(FETCH_AT_ONCE, timeout=30)
            except nats.errors.TimeoutError:
                continue
            for message in fetched:
                yield pickle.loads(message.data)
                await message.ack()


@contextmanager
def subject_hops(url: str, folder: Path, count: int) -> Iterator[list[SubjectHop]]:
    """Give ``count`` subjects that no other run has."""
    yield [SubjectHop(url, f"{folder.name}-{i}", spawn.Event()) for i in range(count)]


@contextmanager
def work_queue_hops(
    url: str, window: int, folder: Path, count: int
) -> Iterator[list[WorkQueueHop]]:
    """Give ``count`` streams on disk."""
    hops = [WorkQueueHop(url, f"{folder.name}-{i}", window) for i in range(count)]
    asyncio.run(_streams(hops, wanted=True))
    try:
        yield hops
    finally:
        asyncio.run(_streams(hops, wanted=False))


async def _streams(hops: list[WorkQueueHop], *, wanted: bool) -> None:
    async with _connected(hops[0].url) as client:
        stream = client.jetstream(timeout=60)
        for hop in hops:
            if wanted:
                await stream.add_stream(
                    name=hop.subject,
                    subjects=[hop.subject],
                    storage=StorageType.FILE,
                    retention=RetentionPolicy.WORK_QUEUE,
                )
            else:
                await stream.delete_stream(hop.subject)


@contextmanager
def peers(folder: Path) -> Iterator[list[Chain]]:
    """Start a server and give the peers that use it."""
    (port,) = free_ports(1)
    config = folder / "nats.conf"
    config.write_text(CONFIG.format(port=port, folder=folder))
    with server(["nats-server", "-c", str(config)], folder, lambda: listens(port)):
        url = f"nats://127.0.0.1:{port}"
        core = partial(subject_hops, url)
        awaited, ahead = (partial(work_queue_hops, url, window) for window in (1, WINDOW))
        yield [
            Chain("nats", core, items=30_000, stage=run_async_stage),
            Chain("nats-lists", core, items=2_000_000, batch=1_000, stage=run_async_stage),
            Chain("jetstream", awaited, items=5_000, stage=run_async_stage),
            Chain("jetstream-lists", ahead, items=1_000_000, batch=1_000, stage=run_async_stage),
        ]
