"""The standard library's own managers, of every Python here, as clients."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.queues.managers import conversation, finishing, matrix
from tests.queues.managers.interpreters import interpreters
from tests.queues.managers.killed import CLIENTS, ITEMS
from tests.queues.managers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
each_python = pytest.mark.parametrize("python", interpreters().values(), ids=interpreters().keys())

# A stock server of one queue that holds three, or ten: how the same words are answered there.
STOCK = f"""
import queue, sys
sys.path.insert(0, {str(Path(conversation.__file__).parent)!r})
from multiprocessing.managers import BaseManager
class Manager(BaseManager): pass
q = queue.Queue(int(sys.argv[2]))
Manager.register("queue", callable=lambda name: q)
Manager(sys.argv[1], authkey=b"password").get_server().serve_forever()
"""


DEBUGS = """
import gc, sys
from multiprocessing.managers import BaseManager
class Client(BaseManager): pass
Client.register("queue")
client = Client(sys.argv[1], authkey=b"password")
client.connect()
print(repr(client._debug_info()), client._number_of_objects())
q = client.queue("a->b")
print(repr(client._debug_info()), client._number_of_objects())
del q
gc.collect()
print(repr(client._debug_info()), client._number_of_objects())
"""


def version_of(python: str) -> str:
    return next(version for version, path in interpreters().items() if path == python)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="q-") as name:  # short: it is for Unix sockets
        yield Path(name)


def converse(
    python: str, address: str, script: ModuleType = conversation, *arguments: str
) -> list[str]:
    assert script.__file__ is not None
    done = subprocess.run(
        [python, script.__file__, address, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def stock_server(python: str, capacity: int) -> Iterator[str]:
    """Serve a queue as the standard library does, and yield its address."""
    with tempfile.TemporaryDirectory(prefix="q-") as name:
        address = str(Path(name, "s"))
        server = subprocess.Popen([python, "-c", STOCK, address, str(capacity)])
        try:
            while not Path(address).exists():
                assert server.poll() is None
                threading.Event().wait(0.01)
            yield address
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def stock_answers() -> list[str]:
    """What the standard library's own server answers."""
    with stock_server(sys.executable, 3) as address:
        return converse(sys.executable, address)


@each_python
def test_every_way_to_put_and_get_does_what_a_stock_server_does_with_items_of_every_shape(
    python: str, folder: Path
) -> None:
    with stock_server(python, 10) as address:
        expected = converse(python, address, matrix)
    with serving(["a->b"], str(folder / "s"), capacity=10):
        heard = converse(python, str(folder / "s"), matrix)
    assert len(expected) == len(matrix.PUTS) * len(matrix.ITEMS) + len(matrix.WRONG_GETS)
    assert [pair for pair in zip(expected, heard, strict=True) if pair[0] != pair[1]] == []


@each_python
def test_a_client_of_each_python_hears_what_a_stock_server_answers(
    python: str, folder: Path, stock_answers: list[str]
) -> None:
    with serving(["a->b"], str(folder / "s"), capacity=3):
        heard = converse(python, str(folder / "s"))
    assert len(heard) > 50
    assert heard == stock_answers


@each_python
@pytest.mark.parametrize("part", ["finish", "shut", "shut_at_once"])
def test_items_are_done_with_and_queues_shut_down_as_a_stock_server_has_it(
    python: str, part: str, folder: Path
) -> None:
    has_shutdown = tuple(map(int, version_of(python).split("."))) >= (3, 13)
    with serving(["a->b"], str(folder / "s"), capacity=10):
        heard = converse(python, str(folder / "s"), finishing, part)
    if part == "finish" or has_shutdown:
        with stock_server(python, 10) as address:
            assert heard == converse(python, address, finishing, part)
    else:  # its exception came with 3.13: before, clients hear that a queue is full, or empty
        assert any("Full" in line for line in heard)
        assert not any("ShutDown" in line for line in heard)
    assert len(heard) > 15


@each_python
def test_a_manager_is_told_of_what_has_proxies_in_a_stock_servers_words(
    python: str, folder: Path
) -> None:
    with serving(["a->b", "other"], str(folder / "s")):
        heard = subprocess.run(
            [python, "-c", DEBUGS, str(folder / "s")], capture_output=True, text=True, timeout=60
        )
    assert heard.stdout == "'' 0\n\"  a->b:       refcount=1\\n    <queue 'a->b'>\" 1\n'' 0\n"


def killed(kind: str, address: str, python: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.queues.managers.killed", kind, address, python],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@each_python
def test_clients_that_are_killed_while_they_wait_take_nothing_along(
    python: str, folder: Path
) -> None:
    assert killed("ours", str(folder / "s"), python) == ITEMS


def test_clients_that_are_killed_while_they_wait_take_nothing_along_over_tcp() -> None:
    assert killed("ours", "0", sys.executable) == ITEMS


def test_a_stock_server_loses_an_item_for_each_client_that_is_killed(folder: Path) -> None:
    """The same harness sees the loss that the tests above are there to exclude."""
    assert killed("stock", str(folder / "s"), sys.executable) == ITEMS - CLIENTS
