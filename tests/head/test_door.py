"""The head's socket and those who come to it with nothing good in mind."""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import signal
import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pipeline_runner.config.parse import load
from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.topology import topology_of
from pipeline_runner.queues.server.server import QueueServer
from pipeline_runner.wire.client.connection import UnixWire, Wire
from pipeline_runner.wire.codec import encode
from pipeline_runner.wire.control_messages import Answer, Ask, Beat
from pipeline_runner.wire.framing import encode_frame
from pipeline_runner.wire.messages import (
    Advance,
    Claim,
    Cursor,
    Died,
    Done,
    Granted,
    Hello,
    Output,
    Session,
    Settle,
)
from tests.e2e.kit import NAME, chain, stage, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
import os

from kept import note, pass_gate


def numbers():
    yield from range(100)


def waits(number):
    note("began", number, os.getpid())
    pass_gate("gate")
    return number
"""
TWO_GIB = 2**31 - 1
RSS_SLACK = 2**20


@pytest.fixture
def run(project: Project) -> Iterator[Run]:
    """A run that waits at its gate."""
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    document += stage("waits", "functions:waits") + chain("numbers", "waits", "keep")
    project.write(FUNCTIONS, document)
    run = project.start()
    until(lambda: run.stage("numbers").get("state") == "finished" and project.notes())
    yield run
    project.open_gate()
    ended = run.wait()
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == list(range(100)), "whatever came to the door, the run is exact"


def knock(run: Run) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(str(run.project.state / "head.sock"))
    return sock


def is_shown_out(sock: socket.socket) -> bool:
    """Wait for the head to close the connection; it must have said nothing before."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def resident(run: Run) -> int:
    size: int = psutil.Process(run.pid).memory_info().rss
    return size


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("sizes", [(TWO_GIB, 0), (0, TWO_GIB), (65_537, 0), (10, 65_536)])
def test_a_large_length_before_hello_is_refused_before_anything_is_kept(
    run: Run, sizes: tuple[int, int]
) -> None:
    before = resident(run)
    with knock(run) as sock:
        sock.sendall(struct.pack("!II", *sizes))
        assert is_shown_out(sock)
    assert resident(run) - before < RSS_SLACK


@pytest.mark.parametrize("sizes", [(TWO_GIB, 0), (20, TWO_GIB)])
@pytest.mark.parametrize("role", ["control", "worker"])
def test_a_large_length_after_hello_is_refused_before_anything_is_kept(
    run: Run, role: str, sizes: tuple[int, int]
) -> None:
    with knock(run) as sock:
        sock.sendall(encode_frame(Hello(role, "elsewhere", "x/waits[9]/1", "waits", 9)))
        if role == "worker":
            assert sock.recv(65536)
        before = resident(run)
        sock.sendall(struct.pack("!II", *sizes) + b"x" * 1000)
        assert is_shown_out(sock)
    assert resident(run) - before < RSS_SLACK


def test_garbage_is_refused(run: Run) -> None:
    request, nothing = b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64
    for garbage in (request, nothing, b"\xff" * 4096, b"\0\0\0\x04\0\0\0\0abcd"):
        with knock(run) as sock:
            sock.sendall(garbage)
            assert is_shown_out(sock)


def test_a_pickle_is_refused_and_never_run(run: Run) -> None:
    trap = run.project.root / "sprung"
    data = pickle.dumps(Bomb(trap))
    for frame in (data, struct.pack("!II", len(data), 0) + data):
        with knock(run) as sock:
            sock.sendall(frame)
            assert is_shown_out(sock)
    assert not trap.exists()


@pytest.mark.parametrize(
    "first",
    [
        Claim(1, 1),
        Ask("ps"),
        Died("x", 0, "died"),
        Hello("worker", "h", "h/ghost[0]/1", "ghost"),
        Hello("agent", "h", protocol=999),
    ],
    ids=["claim", "ask", "died", "unknown stage", "unknown protocol"],
)
def test_a_first_message_that_is_no_good_hello_is_refused(
    run: Run, first: Claim | Ask | Died | Hello
) -> None:
    with knock(run) as sock:
        sock.sendall(encode_frame(first))
        assert is_shown_out(sock)


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("worker", Died("x", 0, "died")),
        ("worker", Beat(())),
        ("worker", Hello("worker", "h", "h/waits[9]/2", "waits")),
        ("control", Claim(1, 1)),
        ("control", Hello("control", "h")),
    ],
    ids=["worker died", "worker beat", "worker hello", "control claim", "control hello"],
)
def test_a_message_of_another_role_is_refused(
    run: Run, role: str, message: Died | Beat | Hello | Claim
) -> None:
    with knock(run) as sock:
        sock.sendall(encode_frame(Hello(role, "h", "h/waits[9]/1", "waits", 9)))
        if role == "worker":
            assert sock.recv(65536)
        sock.sendall(encode_frame(message))
        assert is_shown_out(sock)


def test_half_a_frame_holds_up_nobody(run: Run) -> None:
    frame = encode_frame(Ask("ps"))
    with knock(run) as slow:
        slow.sendall(encode_frame(Hello("control", "h")))
        for byte in frame[:-1]:
            slow.sendall(bytes((byte,)))
            assert run.look()["name"] == NAME
        slow.sendall(frame[-1:])
        wire = UnixWire(slow)
        answer, _none = wire.receive()
        assert isinstance(answer, Answer)


class NobodyElse:
    """Stands for the head where only the server matters."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str, hint: str = "") -> None:
        self.warnings.append(text)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_arguments: None


def test_a_hello_of_a_dead_worker_is_refused_and_its_items_go_to_the_next(
    project: Project,
) -> None:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    project.write(FUNCTIONS, document + chain("numbers", "keep"))
    pipeline = load(project.root / "pipeline.toml", os.environ)
    head = NobodyElse()

    async def scene() -> None:
        broker = Broker(topology_of(pipeline), run="r")
        server = QueueServer(broker, head, project.root, most_item=2**20)
        path = project.root / "sock"
        server.listen(path)
        offload = asyncio.get_running_loop().run_in_executor

        def join(name: str, stage: str) -> Wire:
            wire = Wire.unix(path, 10)
            wire.send(Hello("worker", "h", name, stage))
            try:
                assert isinstance(wire.receive()[0], Session)
            except EOFError:
                wire.close()
                raise
            return wire

        source = await offload(None, join, "h/numbers[0]/1", "numbers")
        source.send(Claim(1, 1))
        leave, _none = await offload(None, source.receive)
        body = encode([0])
        source.send(
            Settle(
                2,
                (Done(leave.token),),
                (Output(("numbers->keep",), 1, len(body)),),
                advance=Advance(0, Cursor(1, 1)),
            ),
            [body],
        )
        doomed = await offload(None, join, "h/keep[0]/1", "keep")
        doomed.send(Claim(1, 1))
        granted, _body = await offload(None, doomed.receive)
        assert isinstance(granted, Granted)
        server.died(Died("h/keep[0]/1", 0, "died: killed by SIGKILL"))
        with pytest.raises(EOFError):
            await offload(None, doomed.receive)
        with pytest.raises(EOFError):
            await offload(None, join, "h/keep[0]/1", "keep")
        heir = await offload(None, join, "h/keep[0]/2", "keep")
        heir.send(Claim(1, 1))
        again, _body = await offload(None, heir.receive)
        assert (again.body, again.lo, again.attempts) == (granted.body, granted.lo, 0)
        for wire in (source, doomed, heir):
            wire.close()
        server.close()

    asyncio.run(asyncio.wait_for(scene(), 20))
    assert any("known to be dead" in warning for warning in head.warnings)


def test_500_silent_connections_and_64_descriptors_keep_no_good_worker_out(run: Run) -> None:
    head = psutil.Process(run.pid)
    used = len(list(Path(f"/proc/{run.pid}/fd").iterdir()))
    resource.prlimit(run.pid, resource.RLIMIT_NOFILE, (64, 64))
    assert used < 64
    (pid,) = run.workers("waits")
    with ExitStack() as stack:
        silent = []
        for _ in range(500):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.setblocking(False)
            try:
                sock.connect(str(run.project.state / "head.sock"))
            except BlockingIOError:
                break  # the kernel's queue is full
            silent.append(sock)
        before, began = sum(head.cpu_times()[:2]), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until(
            lambda: any(note[2] != pid for note in run.project.notes() if note[0] == "began"),
            "a new worker is at work among the silent",
            within_s=10,
        )
        spent = sum(head.cpu_times()[:2]) - before
        assert spent < 0.1 * (time.monotonic() - began) + 0.1
        assert len(silent) > 64
