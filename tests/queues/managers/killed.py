"""Five clients are killed while they wait for an item; then 20 items are put: how many come out?

``python -m tests.queues.managers.killed (ours|stock) ADDRESS PYTHON`` prints how many; an ADDRESS
that is a number means TCP. The same script serves with our server and with the standard library's
own.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from multiprocessing.managers import BaseManager
from typing import TYPE_CHECKING, Any

from tests.e2e.kit import until
from tests.queues.managers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS, ITEMS = 5, 20
KEY = b"password"

WAITS = """
import sys
from multiprocessing.managers import BaseManager
class Client(BaseManager): pass
Client.register("queue")
address = ("127.0.0.1", int(sys.argv[1])) if sys.argv[1].isdigit() else sys.argv[1]
client = Client(address, authkey=b"password")
client.connect()
client.queue("q").get()
"""


def delivered(address: Any, python: str, waiting: Callable[[], int]) -> int:
    """Kill clients that wait, put items, and count what another client gets."""
    told = str(address[1]) if isinstance(address, tuple) else address
    clients = [subprocess.Popen([python, "-c", WAITS, told]) for _ in range(CLIENTS)]
    until(lambda: waiting() == CLIENTS, "every client waits for an item")
    for client in clients:
        client.kill()
    for client in clients:
        client.wait()
    manager: Any = _Client(address, authkey=KEY)
    manager.connect()
    q = manager.queue("q")
    for n in range(ITEMS):
        q.put(n)
    count = 0
    while True:
        try:
            q.get(timeout=30 if q.qsize() else 0.5)  # a busy machine has not lost an item
        except queue.Empty:
            return count
        count += 1


def _stock(address: Any, python: str) -> int:
    q: queue.Queue[int] = queue.Queue()

    class Manager(BaseManager):
        pass

    Manager.register("queue", callable=lambda _name: q)
    server = Manager(address, authkey=KEY).get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    waiters = q.not_empty._waiters  # type: ignore[attr-defined]
    return delivered(server.address, python, lambda: len(waiters))


def _ours(address: Any, python: str) -> int:
    with serving(["q"], address) as server:
        return delivered(server.address, python, server.waiting)


class _Client(BaseManager):
    pass


_Client.register("queue")

if __name__ == "__main__":
    _kind, _address, _python = sys.argv[1:]
    _place: Any = ("127.0.0.1", int(_address)) if _address.isdigit() else _address
    _count = _ours(_place, _python) if _kind == "ours" else _stock(_place, _python)
    print(_count, flush=True)
    os._exit(0)  # the stock server's threads wait for ever
