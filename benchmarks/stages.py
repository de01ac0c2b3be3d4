"""The functions that every runner runs, as a user would write them.

This file is also copied, as it is, into the project that ``runner up`` runs, so it imports
nothing of ours. Item 0 opens the way: the source emits it alone and waits until the sink has
seen it and the measuring side says go, so that no interpreter's start and no connection is in
the time of items 1..n.
Times are ``time.monotonic()``, one clock for all processes of a machine.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PACE_PER_S = 100
NAP_S = 0.02

Stamped = tuple[int, float]


def _items() -> int:
    return int(os.environ["BENCH_ITEMS"])


def mark(name: str, content: object) -> None:
    """Write ``content`` as JSON in one step: who sees the file can read it."""
    path = Path(os.environ["BENCH_MARKS"], name)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content))
    draft.rename(path)


def _wait_until_open() -> None:
    opened = Path(os.environ["BENCH_MARKS"], "open")  # written by the measuring side
    while not opened.exists():
        time.sleep(0.001)


def generate() -> Iterator[int]:
    """Yield 0, and once the way is open, 1..n without a pause."""
    yield 0
    _wait_until_open()
    mark("first", time.monotonic())
    yield from range(1, _items() + 1)


def square(x: int) -> int:
    return x * x


def subtract_1(x: int) -> int:
    return x - 1


class Total:
    """A sink that keeps the count and the sum, and notes when item n came."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.awaited = 1

    def __call__(self, x: int) -> None:
        self.total += x
        self.count += 1
        if self.count == self.awaited:
            self._note()

    def _note(self) -> None:
        # Only at items 0 and n: a clock read for each item would be in everyone's rate.
        mark("arrived" if self.count == 1 else "last", time.monotonic())
        self.awaited = _items() + 1

    def close(self) -> None:
        mark("total", {"count": self.count, "total": self.total})


def tick() -> Iterator[Stamped]:
    """Yield (i, now) at a steady pace, each stamped as it leaves."""
    yield 0, time.monotonic()
    _wait_until_open()
    start = time.monotonic()
    mark("first", start)
    for i in range(1, _items() + 1):
        time.sleep(max(0.0, start + i / PACE_PER_S - time.monotonic()))
        yield i, time.monotonic()


def square_stamped(item: Stamped) -> Stamped:
    return square(item[0]), item[1]


def subtract_1_stamped(item: Stamped) -> Stamped:
    return subtract_1(item[0]), item[1]


class Delays(Total):
    """A sink of stamped items that also keeps how long each was under way, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.delays_s: list[float] = []

    def __call__(self, item: Stamped) -> None:  # type: ignore[override]
        self.delays_s.append(time.monotonic() - item[1])
        super().__call__(item[0])

    def close(self) -> None:
        mark("delays", self.delays_s[1:])
        super().close()


Row = dict[str, Any]


def generate_dicts() -> Iterator[Row]:
    """Yield 0..n as dicts of five keys, all different."""
    for i in generate():
        yield {"id": i, "value": i, "name": f"item {i}", "price": i / 4, "even": i % 2 == 0}


def square_dict(row: Row) -> Row:
    return {**row, "value": square(row["value"])}


def subtract_1_dict(row: Row) -> Row:
    return {**row, "value": subtract_1(row["value"])}


class Dicts(Total):
    """A sink that compares each dict with what was sent, and adds the values up."""

    def __call__(self, row: Row) -> None:  # type: ignore[override]
        i = row["id"]
        if len(row) != 5 or row["price"] != i / 4 or row["even"] != (i % 2 == 0):
            raise ValueError(f"dict {i} came changed")
        super().__call__(row["value"])


HEADER = struct.Struct("<qq")  # the number under way, and the index that tells the filler
_TURNS = 4_096


@functools.cache
def _pattern(size: int) -> bytes:
    return hashlib.shake_128(b"filler").digest(size + _TURNS)


def _filler(i: int, size: int) -> bytes:
    start = i % _TURNS
    return _pattern(size)[start : start + size]


def generate_blobs() -> Iterator[bytes]:
    """Yield 0..n as blobs of ``BENCH_SIZE`` bytes, all different: a header and a filler."""
    size = int(os.environ["BENCH_SIZE"]) - HEADER.size
    for i in generate():
        yield HEADER.pack(i, i) + _filler(i, size)


def square_blob(blob: bytes) -> bytes:
    number, i = HEADER.unpack_from(blob)
    return HEADER.pack(square(number), i) + blob[HEADER.size :]


def subtract_1_blob(blob: bytes) -> bytes:
    number, i = HEADER.unpack_from(blob)
    return HEADER.pack(subtract_1(number), i) + blob[HEADER.size :]


class Blobs(Total):
    """A sink that compares every byte with what was sent, and adds the headers up."""

    def __call__(self, blob: bytes) -> None:  # type: ignore[override]
        number, i = HEADER.unpack_from(blob)
        size = int(os.environ["BENCH_SIZE"])
        if len(blob) != size or not blob.endswith(_filler(i, size - HEADER.size)):
            raise ValueError(f"blob {i} came changed")
        super().__call__(number)


class AllInOne(Total):
    """The stages between and the sink as one, of ints."""

    def __call__(self, x: int) -> None:
        super().__call__(subtract_1(square(x)))


class AllOfBlobs(Total):
    """The same of blobs; every byte is compared with what was sent."""

    def __call__(self, blob: bytes | bytearray) -> None:  # type: ignore[override]
        number, i = HEADER.unpack_from(blob)
        size = int(os.environ["BENCH_SIZE"])
        if len(blob) != size or not blob.endswith(_filler(i, size - HEADER.size)):
            raise ValueError(f"blob {i} came changed")
        super().__call__(subtract_1(square(number)))


class Nap:
    """A stage that waits as on a network does; notes that its process is ready."""

    def __init__(self) -> None:
        mark(f"ready-{os.getpid()}", time.monotonic())

    def __call__(self, x: int) -> int:
        time.sleep(NAP_S)
        return subtract_1(square(x))


def generate_for_naps() -> Iterator[int]:
    """Yield 0, and once the way is open and every worker of ``Nap`` is ready, 1..n."""
    items = generate()
    yield next(items)
    workers = int(os.environ["BENCH_WORKERS"])
    while len(list(Path(os.environ["BENCH_MARKS"]).glob("ready-*[0-9]"))) < workers:
        time.sleep(0.001)
    yield from items
