"""Every way to put and to get, with items of every shape: for any Python from 3.8 on.

Run with the standard library alone: ``matrix.py ADDRESS``. The queue "a->b" holds ten.
"""

import array
import collections
import datetime as dt
import decimal
import pathlib
import queue
import sys
import uuid
from fractions import Fraction
from multiprocessing.managers import BaseManager
from zlib import crc32

FRAME = 64 * 1024


class Client(BaseManager):
    pass


Client.register("queue")

SHARED = {"block": False}
CYCLE = [1]
CYCLE.append(CYCLE)
DEEP = ()
for _ in range(50):
    DEEP = (DEEP,)
IN_TUPLE = ([],)
IN_TUPLE[0].append(IN_TUPLE)  # a tuple that is found in its own pickling: POP and a reference

ITEMS = [
    None, True, False, 0, 1, -1, 255, 65536, 2**31, -(2**31), 2**70, -(2**2000), 0.5, float("inf"),
    1j, "", "x", "item", "block", "timeout", "a->b", "put", "x" * 300, "é漢", "\ud800", b"", b"x",
    b"x" * 300, bytearray(b"xy"), (), ((),), ((), ()), ((), {}), ((), 1), ((), None), ((), False),
    ((), {"item": 1}), ((), {"block": False}), ((), {"timeout": 1, "block": True}),
    ((), {"item": ((), {"item": 1})}), ((), {"item": 1, "block": False}), (((), {"item": 1}),),
    (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), (1, True, 1.5), ("a->b", "put", (1,), {}),
    ((1,), {}), ({},), ({}, {}), ({"block": False},), {}, {"item": 1}, {"block": False},
    {"item": 1, "block": True, "timeout": None}, {(): {}}, {"block": False, (): ()}, [], [[]],
    [()], [{}], [1, [2, (3, {"block": 4})]], set(), {1}, frozenset(), frozenset({(), 1}),
    [SHARED, SHARED], (SHARED, {"block": SHARED}), CYCLE, IN_TUPLE, DEEP,
    ["block", "block", "timeout"], ("item", "item"), {"timeout": "timeout"},
    Fraction(1, 3), dt.datetime(2020, 1, 2, 3, 4, tzinfo=dt.timezone.utc), decimal.Decimal("1.5"),
    collections.OrderedDict(block=1), collections.Counter("aab"), collections.deque([1], 3),
    uuid.UUID(int=7), pathlib.PurePosixPath("a/b"), array.array("d", [1.5]), range(3), int, len,
    ValueError("block", ()), 0x94857D74, 0x2E947473,
    int.from_bytes(b"}\x94\x8c\x05block\x94\x89", "little"),
    int.from_bytes(b"\x85\x94}\x94t\x94.", "little"), b"\x85\x94}\x94t\x94.", "st\x94.", b"st\x94.",
    list(range(3000)), {n: str(n) for n in range(2000)}, "x" * (FRAME - 30), "x" * FRAME,
    b"x" * (FRAME - 50), b"x" * 3 * FRAME, ["x" * FRAME, ((), {"item": b"x" * FRAME})],
]  # fmt: skip

PUTS = [
    lambda q, x: q.put(x),
    lambda q, x: q.put(x, False),
    lambda q, x: q.put(x, 0),
    lambda q, x: q.put(x, None),
    lambda q, x: q.put(x, True),
    lambda q, x: q.put(x, "block"),
    lambda q, x: q.put(x, True, 1),
    lambda q, x: q.put(x, True, None),
    lambda q, x: q.put(x, True, 2.5),
    lambda q, x: q.put(x, True, timeout=2),
    lambda q, x: q.put(x, block=False),
    lambda q, x: q.put(x, timeout=2),
    lambda q, x: q.put(x, timeout=None),
    lambda q, x: q.put(x, block=True, timeout=2),
    lambda q, x: q.put(x, timeout=2, block=True),
    lambda q, x: q.put(x, block=False, timeout=-1),
    lambda q, x: q.put(item=x),
    lambda q, x: q.put(item=x, block=False),
    lambda q, x: q.put(block=False, item=x),
    lambda q, x: q.put(timeout=2, item=x),
    lambda q, x: q.put(item=x, timeout=2),
    lambda q, x: q.put(item=x, block=True, timeout=2),
    lambda q, x: q.put(timeout=2, item=x, block=True),
    lambda q, x: q.put(timeout=2, block=True, item=x),
    lambda q, x: q.put_nowait(x),
    lambda q, x: q.put_nowait(item=x),
    lambda q, x: q.put(x, timeout=-1),
    lambda q, x: q.put(x, True, "1"),
    lambda q, x: q.put(x, True, 1, 2),
    lambda q, x: q.put(x, True, block=True),
    lambda q, x: q.put(x, item=x),
    lambda q, x: q.put(x, itme=x),
    lambda q, x: q.put(itme=x),
    lambda q, x: q.put(item=x, itme=1),
    lambda q, x: q.put(itme=1, item=x),
    lambda q, x: q.put(item=x, block=True, timeout=1, more=1),
    lambda q, x: q.put_nowait(x, True),
    lambda q, x: q.put_nowait(x, block=True),
    lambda q, x: q.put_nowait(item=x, timeout=1),
]
GETS = [
    lambda q: q.get(),
    lambda q: q.get(False),
    lambda q: q.get(True),
    lambda q: q.get(True, 1),
    lambda q: q.get(True, None),
    lambda q: q.get(block=False),
    lambda q: q.get(block=False, timeout=-1),
    lambda q: q.get(timeout=1),
    lambda q: q.get(timeout=1.5, block=True),
    lambda q: q.get(True, timeout=1),
    lambda q: q.get_nowait(),
]
WRONG_GETS = [
    lambda q: q.get(timeout=-1),
    lambda q: q.get(True, "1"),
    lambda q: q.get(True, 1, 2),
    lambda q: q.get(wait=True),
    lambda q: q.get(True, block=True),
    lambda q: q.get_nowait(1),
    lambda q: q.get_nowait(block=True),
    lambda q: q.get(False),
    lambda q: q.get_nowait(),
    lambda q: q.get(timeout=0.01),
    lambda q: q.qsize(1),
    lambda q: q.empty(x=1),
    lambda q: q.task_done(1),
    lambda q: q.join(1),
]


def shown(value):
    """Return what a value is, with which of its parts are one object."""
    text = repr(value)
    if isinstance(value, (list, tuple)):
        text += repr(
            [[a is b for b in value[:5]] for a in value[:5] if isinstance(a, (list, dict))]
        )
    return (
        text
        if len(text) < 200
        else (type(value), len(text), crc32(text.encode("utf-8", "replace")))
    )


def told(call, *arguments):
    try:
        return shown(call(*arguments))
    except (queue.Empty, queue.Full, ValueError, TypeError) as error:
        return type(error).__name__


def main(address):
    client = Client(address, authkey=b"password")
    client.connect()
    q = client.queue("a->b")
    gets = 0
    for p, put in enumerate(PUTS):
        for i, item in enumerate(ITEMS):
            answer = told(put, q, item)
            lines = [answer, q.qsize()]
            if q.qsize():
                lines.append(told(GETS[gets % len(GETS)], q))
                gets += 1
            print(p, i, *lines)
    for g, get in enumerate(WRONG_GETS):
        print("get", g, told(get, q))


if __name__ == "__main__":
    main(sys.argv[1])
