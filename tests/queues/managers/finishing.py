"""task_done, join and shutdown, as lines: for any Python from 3.8 on.

Run with the standard library alone: ``finishing.py ADDRESS``. The queue "a->b" holds ten.
"""

import queue
import sys
import threading
from multiprocessing.managers import BaseManager


class Client(BaseManager):
    pass


Client.register("queue")


def connected(address):
    client = Client(address, authkey=b"password")
    client.connect()
    return client


def told(call, *arguments, **keywords):
    try:
        print(call(*arguments, **keywords))
    except (queue.Empty, queue.Full, ValueError, TypeError) as error:
        print(type(error).__name__)
    except Exception as error:  # queue.ShutDown, where there is one
        print(type(error).__name__)


class Background:
    """A call in a thread of its own, whose answer is printed when it is waited for."""

    def __init__(self, call, *arguments):
        self._answer = []
        self._thread = threading.Thread(target=self._run, args=(call, *arguments), daemon=True)
        self._thread.start()

    def _run(self, call, *arguments):
        try:
            self._answer.append(call(*arguments))
        except Exception as error:
            self._answer.append(type(error).__name__)

    def goes_on(self):
        return self._thread.is_alive()

    def join(self):
        self._thread.join(30)
        print("answer", self._answer)


def finish(address):
    q, other = connected(address).queue("a->b"), connected(address).queue("a->b")
    told(q.task_done)
    told(q.join)
    told(q.put, 1)
    told(q.put, 2)
    told(q.task_done)  # before a get: what counts is how often it was put
    told(q.task_done)
    told(q.task_done)
    told(q.join)
    told(q.get)
    told(q.task_done)
    told(other.get)
    told(q.join)
    for n in range(3):
        told(q.put, n)
    joining = Background(q.join)
    told(other.get)
    told(other.get)
    told(q.task_done)  # whoever got it
    told(q.task_done)
    print(joining.goes_on())
    told(q.get)
    print(joining.goes_on())
    told(other.task_done)
    joining.join()
    told(q.task_done)


def shut(address):
    q, other = connected(address).queue("a->b"), connected(address).queue("a->b")
    getting = Background(other.get)
    told(q.put, 0)
    getting.join()
    told(q.put, 1)
    told(q.put, 2)
    told(q.shutdown)
    told(q.put, 3)
    told(q.put_nowait, 3)
    told(q.put, 3, timeout=1)
    told(q.qsize)
    told(q.get)
    told(other.get, timeout=1)
    told(other.get_nowait)
    told(q.get)
    told(q.shutdown, True)
    for _ in range(4):
        told(q.task_done)
    told(q.join)
    told(q.shutdown, 1, 2)


def shut_at_once(address):
    q, other = connected(address).queue("a->b"), connected(address).queue("a->b")
    for n in range(10):
        told(q.put, n)
    putting = Background(q.put, 10)
    told(other.get)
    putting.join()
    putting = Background(q.put, 11)
    told(other.shutdown, immediate=True)
    putting.join()
    told(q.qsize)
    told(q.get)
    told(q.task_done)
    told(q.task_done)
    told(q.join)


if __name__ == "__main__":
    {"finish": finish, "shut": shut, "shut_at_once": shut_at_once}[sys.argv[2]](sys.argv[1])
