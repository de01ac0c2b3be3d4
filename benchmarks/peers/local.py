"""What needs no server of its own: the standard library, and pyzmq from process to process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.peers.manager import MANAGERS
from benchmarks.peers.mp_queue import QUEUES
from benchmarks.peers.zmq_push import PUSHES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers.chain import Chain


@contextmanager
def peers(_folder: Path) -> Iterator[list[Chain]]:
    """Give the peers, each on its faster transport: a Unix socket."""
    yield [peer for peer in (*MANAGERS, *QUEUES, *PUSHES) if "-tcp" not in peer.name]
