"""multiprocessing.Queue: a pipe and a feeder thread, between processes of one parent."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.peers.chain import Chain, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.queues import Queue
    from pathlib import Path

    from benchmarks.peers.chain import Get, Put


@dataclass(frozen=True, slots=True)
class QueueHop:
    """A queue that the stages' processes inherit."""

    queue: Queue[Any]

    @contextmanager
    def writer(self) -> Iterator[Put]:
        """Give put; the feeder thread sends the rest before the process ends."""
        yield self.queue.put

    @contextmanager
    def reader(self) -> Iterator[Get]:
        """Give get."""
        yield self.queue.get


@contextmanager
def queue_hops(_folder: Path, count: int) -> Iterator[list[QueueHop]]:
    """Give ``count`` queues."""
    hops = [QueueHop(spawn.Queue()) for _ in range(count)]
    try:
        yield hops
    finally:
        for hop in hops:
            hop.queue.close()


QUEUES = (
    Chain("mp-queue", queue_hops, items=150_000),
    Chain("mp-queue-lists", queue_hops, items=4_000_000, batch=1_000),
)
