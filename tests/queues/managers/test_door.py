"""The door under bad guests: none of them costs another anything."""

from __future__ import annotations

import errno
import os
import pickle
import queue
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from multiprocessing import AuthenticationError, connection
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.queues.managers import listener, manager
from pipeline_runner.queues.managers.manager import QueueManager
from tests.e2e.kit import until
from tests.queues.managers.serving import KEY, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GETS = """
import sys, time
from multiprocessing.managers import BaseManager
class Client(BaseManager): pass
Client.register("queue")
address = ("127.0.0.1", int(sys.argv[1])) if sys.argv[1].isdigit() else sys.argv[1]
client = Client(address, authkey=b"password")
client.connect()
q = client.queue("q")
print(q.get(), flush=True)
time.sleep(60)
"""


class Client(BaseManager):
    pass


Client.register("queue")


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(manager, "_warn", lambda text, _hint: said.append(text))
    return said


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "tcp":
        yield "127.0.0.1", 0
        return
    with tempfile.TemporaryDirectory(prefix="q-") as name:
        yield str(Path(name, "s"))


@pytest.fixture
def server(address: Any, warnings: list[str]) -> Iterator[Serving]:
    with serving(["q", "other"], address, capacity=100) as served:
        yield served


def connected(server: Serving) -> Any:
    client = Client(server.address, authkey=KEY)
    client.connect()
    return client


def silent(address: Any) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    sock.connect(address)
    return sock


def opened(server: Serving) -> connection.Connection:
    """A connection that may call queues: what a proxy has, for saying whatever a test likes."""
    line = connection.Client(server.address, authkey=KEY)
    line.send((None, "accept_connection", ("test",), {}))
    assert line.recv() == ("#RETURN", None)
    return line


def is_closed(sock: socket.socket) -> bool:
    try:
        while data := sock.recv(4096, socket.MSG_DONTWAIT):
            assert data
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True


def test_another_key_is_refused_and_the_server_serves_on(
    server: Serving, warnings: list[str]
) -> None:
    with pytest.raises(AuthenticationError):
        Client(server.address, authkey=b"passwort").connect()
    until(lambda: warnings, "the server says so")
    assert warnings == ["closed the connection of a manager client: the key is not this server's"]
    assert connected(server).queue("q").qsize() == 0


@pytest.mark.parametrize("call", ["shutdown", "get_methods", "__init__", "serve_client"])
def test_the_server_does_nothing_for_clients_but_queues(server: Serving, call: str) -> None:
    with connection.Client(server.address, authkey=KEY) as line:
        line.send((None, call, (), {}))
        kind, text = line.recv()
        assert kind == "#TRACEBACK"
        assert call in text
    with connection.Client(server.address, authkey=KEY) as line:
        line.send((None, "dummy", (), {}))
        assert line.recv() == ("#RETURN", None)


@pytest.mark.parametrize("method", ["_put", "queue", "__class__", "#GETVALUE"])
def test_a_queue_has_only_the_methods_it_names(server: Serving, method: str) -> None:
    with opened(server) as line:
        line.send(("q", method, (), {}))
        kind, text = line.recv()
        assert kind == "#TRACEBACK"
        assert method in text
        line.send(("q", "qsize", (), {}))
        assert line.recv() == ("#RETURN", 0)


def test_an_unknown_queue_is_an_error_that_names_those_there_are(server: Serving) -> None:
    with pytest.raises(ValueError, match="no queue 'z'; there are: q, other"):
        connected(server).queue("z")


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("arguments", [(), (True, 5)])
def test_only_whoever_gets_an_item_unpickles_it(
    server: Serving, tmp_path: Path, arguments: tuple[Any, ...]
) -> None:
    q = connected(server).queue("q")
    q.put(Trap(tmp_path / "trap"), *arguments)
    assert q.qsize() == 1
    assert not (tmp_path / "trap").exists()
    q.get()
    assert (tmp_path / "trap").exists()


def test_a_trap_where_no_item_belongs_is_refused_unopened(server: Serving, tmp_path: Path) -> None:
    trap = Trap(tmp_path / "trap")
    with connection.Client(server.address, authkey=KEY) as line:
        line.send((None, "create", ("queue", trap), {}))
        assert line.recv()[0] == "#TRACEBACK"
    with opened(server) as line:
        for request in [("q", "get", (trap,), {}), ("q", "put", (1, trap), {}), trap]:
            line.send(request)
            assert line.recv()[0] == "#TRACEBACK"
    assert not (tmp_path / "trap").exists()


def test_silent_connections_beyond_the_bound_go_oldest_first(
    server: Serving, warnings: list[str]
) -> None:
    knocking = [silent(server.address) for _ in range(listener.MOST_UNKNOWN + 20)]
    until(lambda: is_closed(knocking[19]), "the oldest are closed")
    assert [is_closed(sock) for sock in knocking] == [n < 20 for n in range(len(knocking))]
    assert connected(server).queue("q").empty()
    assert warnings == ["closed the connection of a manager client: too many silent connections"]
    for sock in knocking:
        sock.close()


def test_a_connection_that_stays_silent_is_closed(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_S", 0.05)
    with silent(server.address) as sock:
        until(lambda: is_closed(sock), "it is closed")
    assert server.connected() == 0


@pytest.mark.parametrize("size", [257, 2**31 - 1])
def test_a_large_frame_before_the_handshake_is_refused(server: Serving, size: int) -> None:
    with silent(server.address) as sock:
        sock.sendall(struct.pack("!i", size))
        assert until(lambda: is_closed(sock), "it is closed")


def test_a_too_large_item_is_an_error_that_names_the_setting(
    address: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "MOST_ITEM", 10_000)
    with serving(["q"], address) as server:
        q = connected(server).queue("q")
        with pytest.raises(ValueError, match=r"an item of 30[0-9]* bytes; at most 10000.*max_item"):
            q.put("x" * 30_000)
        q.put("x" * 9_000)
        assert q.get() == "x" * 9_000


def test_a_length_of_two_gigabytes_allocates_nothing(server: Serving) -> None:
    with opened(server) as line:
        os.write(line.fileno(), struct.pack("!iQ", -1, 2**31) + bytes(100_000))
        assert line.recv()[0] == "#ERROR"
        (peer, _guest) = next(iter(server.door._peers.values()))
        assert len(peer._frames._buffer) == 0


def test_a_request_before_the_last_ones_reply_ends_the_connection(server: Serving) -> None:
    with opened(server) as line:
        line.send(("q", "get", (), {}))
        line.send(("q", "get", (), {}))
        with pytest.raises(EOFError):
            line.recv()
    q = connected(server).queue("q")
    q.put(1)
    assert q.get(timeout=5) == 1


def test_a_slow_reader_holds_nobody_up(server: Serving) -> None:
    item = "x" * 8_000_000  # more than any socket's buffer
    q = connected(server).queue("q")
    with opened(server) as slow:
        slow.send(("q", "get", (), {}))
        until(lambda: server.waiting() == 1, "it waits")
        q.put(item)
        q.put("next")
        assert q.get(timeout=5) == "next"
        assert slow.recv() == ("#RETURN", item)


def test_a_message_cut_in_the_middle_is_forgotten(server: Serving) -> None:
    line = opened(server)
    request = pickle.dumps(("q", "put", ("x" * 1000,), {}), 4)
    os.write(line.fileno(), struct.pack("!i", len(request)) + request[:500])
    line.close()
    until(lambda: server.connected() == 0, "it is forgotten")
    assert connected(server).queue("q").empty()


@pytest.fixture
def getting(server: Serving) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start a client of its own process that gets one item, prints it and stays."""
    started: list[subprocess.Popen[str]] = []
    told = server.address if isinstance(server.address, str) else str(server.address[1])

    def start() -> subprocess.Popen[str]:
        popen = subprocess.Popen(
            [sys.executable, "-c", GETS, told], stdout=subprocess.PIPE, text=True
        )
        started.append(popen)
        until(lambda: server.waiting() == 1, "it waits for an item")
        return popen

    yield start
    for popen in started:
        popen.kill()
        popen.communicate()


def test_an_item_sent_to_a_client_that_is_killed_before_it_reads_is_given_to_the_next(
    server: Serving, getting: Callable[[], subprocess.Popen[str]]
) -> None:
    client = getting()
    client.send_signal(signal.SIGSTOP)
    q = connected(server).queue("q")
    q.put("x")
    assert q.empty()
    client.kill()
    assert q.get(timeout=10) == "x"


def test_an_item_that_a_killed_client_had_read_is_gone(
    server: Serving, getting: Callable[[], subprocess.Popen[str]]
) -> None:
    client = getting()
    q = connected(server).queue("q")
    q.put("x")
    assert client.stdout is not None
    assert client.stdout.readline() == "x\n"
    edge = server.server._queues.broker.state.edges["q"]  # type: ignore[union-attr]
    assert edge.remaining == 1
    client.kill()
    until(lambda: edge.remaining == 0, "it is settled")
    assert q.empty()


FEW = """
import sys
from pipeline_runner.queues.managers.manager import QueueManager
QueueManager(["q"], sys.argv[1], b"password").get_server().serve_forever()
"""


def test_500_silent_connections_and_64_descriptors_keep_no_honest_client_out() -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with tempfile.TemporaryDirectory(prefix="q-") as name:
        path = str(Path(name, "s"))
        server = subprocess.Popen(
            [sys.executable, "-c", FEW, path],
            preexec_fn=limit,
            stderr=subprocess.PIPE,
            text=True,
        )
        knocking: list[socket.socket] = []
        try:
            until(Path(path).exists, "the server listens")
            for _ in range(500):
                sock = socket.socket(socket.AF_UNIX)
                knocking.append(sock)
                until(lambda sock=sock: _connects(sock, path), "there is room to knock")
            client: Any = Client(path, authkey=KEY)
            client.connect()
            q = client.queue("q")
            q.put(1)
            assert q.get(timeout=5) == 1
            with pytest.raises(queue.Empty):
                q.get_nowait()
        finally:
            server.terminate()
            _out, said = server.communicate(timeout=10)
            for sock in knocking:
                sock.close()
    assert "cannot accept connections: Too many open files (raise `ulimit -n`)" in said
    assert len(said.splitlines()) < 10


def _connects(sock: socket.socket, path: str) -> bool:
    sock.setblocking(False)
    try:
        sock.connect(path)
    except OSError as error:
        # Its backlog is full for a moment, or it is bound and does not listen yet.
        if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED):
            raise
        return False
    return True


def test_a_manager_starts_its_server_in_a_process_and_is_its_client() -> None:
    with QueueManager(["q"], authkey=KEY) as started:
        q: Any = started.queue("q")  # type: ignore[attr-defined]
        q.put([1, 2])
        assert q.get(timeout=5) == [1, 2]
