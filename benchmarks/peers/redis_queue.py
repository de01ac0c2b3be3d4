"""Redis: lists, and Streams with a consumer group, through redis-py with its C parser."""

from __future__ import annotations

import pickle
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import redis

from benchmarks.peers.chain import Chain
from benchmarks.peers.server import server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers.chain import Get, Put

READ_AT_ONCE = 100
_GROUP = "stage"


@dataclass(frozen=True, slots=True)
class ListHop:
    """RPUSH and BLPOP: an item leaves the server when it is read."""

    path: str
    key: str

    @contextmanager
    def writer(self) -> Iterator[Put]:
        """Connect and push each item."""
        with closing(redis.Redis(unix_socket_path=self.path)) as client:
            yield lambda item: client.rpush(self.key, pickle.dumps(item, 5))

    @contextmanager
    def reader(self) -> Iterator[Get]:
        """Connect and pop, waiting for as long as it takes."""
        with closing(redis.Redis(unix_socket_path=self.path)) as client:

            def get() -> Any:
                popped: Any = client.blpop([self.key])
                return pickle.loads(popped[1])

            yield get


@dataclass(frozen=True, slots=True)
class StreamHop:
    """XADD and XREADGROUP; what was read is acknowledged once its results were added."""

    path: str
    key: str

    @contextmanager
    def writer(self) -> Iterator[Put]:
        """Connect and add each item."""
        with closing(redis.Redis(unix_socket_path=self.path)) as client:
            yield lambda item: client.xadd(self.key, {b"item": pickle.dumps(item, 5)})

    @contextmanager
    def reader(self) -> Iterator[Get]:
        """Connect, read up to ``READ_AT_ONCE`` a call, and acknowledge them together."""
        with closing(redis.Redis(unix_socket_path=self.path)) as client:
            entries = self._entries(client)
            yield lambda: next(entries)

    def _entries(self, client: redis.Redis) -> Iterator[Any]:
        while True:
            read: Any = client.xreadgroup(
                _GROUP, "only", {self.key: ">"}, count=READ_AT_ONCE, block=0
            )
            # A list of pairs or a mapping, by the protocol the client speaks.
            ((_, found),) = read.items() if isinstance(read, dict) else read
            if found and isinstance(found[0], list):
                found = found[0]
            for _, fields in found:
                yield pickle.loads(fields[b"item"])
            client.xack(self.key, _GROUP, *[number for number, _ in found])


@contextmanager
def list_hops(path: str, folder: Path, count: int) -> Iterator[list[ListHop]]:
    """Give ``count`` lists whose names no other run has."""
    hops = [ListHop(path, f"{folder.name}-{i}") for i in range(count)]
    try:
        yield hops
    finally:
        _forget(path, [hop.key for hop in hops])


@contextmanager
def stream_hops(path: str, folder: Path, count: int) -> Iterator[list[StreamHop]]:
    """Give ``count`` streams, each with its group."""
    hops = [StreamHop(path, f"{folder.name}-{i}") for i in range(count)]
    with closing(redis.Redis(unix_socket_path=path)) as client:
        for hop in hops:
            client.xgroup_create(hop.key, _GROUP, mkstream=True)
    try:
        yield hops
    finally:
        _forget(path, [hop.key for hop in hops])


def _forget(path: str, keys: list[str]) -> None:
    with closing(redis.Redis(unix_socket_path=path)) as client:
        client.delete(*keys)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Serve Redis at a Unix socket in ``folder``, keeping nothing on disk; give its path."""
    path = folder / "redis.sock"
    options = {"port": "0", "unixsocket": str(path), "save": "", "appendonly": "no"}
    command = ["redis-server", *(part for k, v in options.items() for part in (f"--{k}", v))]
    with server(command, folder, path.exists):
        yield str(path)


@contextmanager
def peers(folder: Path) -> Iterator[list[Chain]]:
    """Start a server and give the peers that use it."""
    with redis_server(folder) as path:
        lists, streams = partial(list_hops, path), partial(stream_hops, path)
        yield [
            Chain("redis-lists", lists, items=20_000),
            Chain("redis-lists-lists", lists, items=2_000_000, batch=1_000),
            Chain("redis-streams", streams, items=15_000),
            Chain("redis-streams-lists", streams, items=2_000_000, batch=1_000),
        ]
