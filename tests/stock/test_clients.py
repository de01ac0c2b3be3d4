"""The standard library's own managers, of every Python here, as clients."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stock import conversation
from tests.stock.interpreters import interpreters
from tests.stock.killed import CLIENTS, ITEMS
from tests.stock.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
each_python = pytest.mark.parametrize("python", interpreters().values(), ids=interpreters().keys())

# A stock server of one queue that holds three: how the same words are answered there.
STOCK = f"""
import queue, sys
sys.path.insert(0, {str(Path(conversation.__file__).parent)!r})
from multiprocessing.managers import BaseManager
class Manager(BaseManager): pass
q = queue.Queue(3)
Manager.register("queue", callable=lambda name: q)
Manager(sys.argv[1], authkey=b"password").get_server().serve_forever()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="q-") as name:  # short: it is for Unix sockets
        yield Path(name)


def converse(python: str, address: str) -> list[str]:
    done = subprocess.run(
        [python, conversation.__file__, address],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def stock_answers() -> list[str]:
    """What the standard library's own server answers."""
    with tempfile.TemporaryDirectory(prefix="q-") as name:
        address = str(Path(name, "s"))
        server = subprocess.Popen([sys.executable, "-c", STOCK, address])
        try:
            while not Path(address).exists():
                assert server.poll() is None
                threading.Event().wait(0.01)
            return converse(sys.executable, address)
        finally:
            server.kill()
            server.wait()


@each_python
def test_a_client_of_each_python_hears_what_a_stock_server_answers(
    python: str, folder: Path, stock_answers: list[str]
) -> None:
    with serving(["a->b"], str(folder / "s"), capacity=3):
        heard = converse(python, str(folder / "s"))
    assert len(heard) > 50
    assert heard == stock_answers


def killed(kind: str, address: str, python: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stock.killed", kind, address, python],
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
