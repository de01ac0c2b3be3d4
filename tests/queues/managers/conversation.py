"""What a stock client says to queues, and what comes back, as lines: for any Python from 3.8 on.

Run with the standard library alone: ``conversation.py ADDRESS``. The queue "a->b" holds three.
"""

import queue
import sys
from fractions import Fraction
from multiprocessing.managers import BaseManager
from zlib import crc32


class Client(BaseManager):
    pass


Client.register("queue")


def show(call, *arguments, **keywords):
    try:
        value = call(*arguments, **keywords)
    except (queue.Empty, queue.Full, ValueError, TypeError) as error:
        print(type(error).__name__, "'timeout' must" in str(error))
    else:
        print(
            repr(value)
            if len(repr(value)) < 100
            else (type(value), len(value), crc32(repr(value).encode()))
        )


def talk(client):
    q = client.queue("a->b")
    for state in (q.qsize, q.empty, q.full):
        show(state)
    show(q.put, 1)
    show(q.put, "put", False)
    show(q.put_nowait, {"block": [None, (1, 2.5)], "timeout": b"\0" * 3})
    for state in (q.qsize, q.empty, q.full):
        show(state)
    show(q.put, 4, block=False)
    show(q.put, "block", True, 0.01)
    show(q.put, "timeout", timeout=0.01)
    show(q.put, 4, timeout=-1)
    show(q.put, item=4, block=False)
    show(q.put, timeout=0.01, block=True, item={"block": False})
    show(q.put, 4, item=4)
    show(q.put, itme=4)
    show(q.put)
    show(q.put_nowait, item=4)
    show(q.put, 1, True, 2, 3)
    show(q.put_nowait, 4)
    show(q.put_nowait, 4, False)
    show(q.get)
    show(q.get, True, 5)
    show(q.get, block=True, timeout=5.5)
    show(q.get_nowait)
    show(q.get, False)
    show(q.get, timeout=0.01)
    show(q.get, timeout=-1)
    show(q.get, block=False, timeout=-1)
    show(q.get, True, 1, 2)
    show(q.get_nowait, 1)
    show(q.get, wait=True)
    for _ in range(6):  # once more than there were items
        show(q.task_done)
    show(q.join)
    show(q.put, item="by its name")
    show(q.put_nowait, item="at once")
    show(q.get)
    show(q.get)
    show(q.task_done)
    show(q.task_done)
    show(q.join)
    for item in (
        "x" * 70_000,
        list(range(40_000)),
        bytes(300_000),
        Fraction(1, 3),
        [],
        None,
        {},
        2**70,
    ):
        show(q.put, item)
        show(q.get)
        show(q.put, item, timeout=5)
        show(q.get)
    for n in range(3):
        show(client.queue("a->b").put, n)
        show(client.queue("a->b").get)


if __name__ == "__main__":
    client = Client(sys.argv[1], authkey=b"password")
    client.connect()
    talk(client)
