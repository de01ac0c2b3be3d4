"""Frames that were cut, changed or made up, before and after a peer is known, at every door.

What a length claims is not allocated: the head's peak stays within 10 MiB of where it was.
"""

from __future__ import annotations

import pickle
import signal
import socket
import struct
from contextlib import suppress
from multiprocessing import connection
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.codec import encode
from pipeline_runner.wire.control_messages import Ask
from pipeline_runner.wire.framing import encode_frame
from pipeline_runner.wire.messages import (
    Adopt,
    Advance,
    Claim,
    Cursor,
    Done,
    Failure,
    Held,
    Hello,
    Output,
    Return,
    Settle,
    Stage,
)
from tests.e2e.kit import until
from tests.wire.house import KEY, visit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.wire.messages import Message
    from tests.wire.house import House

ROUNDS = 1000  # of each test
MOST_GROWTH = 10 * 2**20
EDGE = "numbers->keep"
BODY = encode(list(range(100)))
CLAIMED = (0, 1, 7, 8, 2**16, 2**20, 2**23, 2**26, 2**28, 2**31 - 1, 2**32 - 1)

WORKER = Hello("worker", "h", "h/numbers[0]/1", "numbers")
_SETTLE = Settle(
    3,
    (Done(1),),
    (Output((EDGE,), 100, len(BODY)),),
    failed=(Failure(1, 0, "ValueError: no", "Traceback"),),
    advance=Advance(0, Cursor(1, 100)),
    claim=Claim(4, 1),
)
SAID: list[tuple[Message, bytes]] = [
    (Claim(1, 1), b""),
    (_SETTLE, BODY),
    (Stage(1, ((0, 1),), 1, Output((EDGE,), 100, len(BODY))), BODY),
    (Return(1), b""),
    (Adopt(2, "r", (Held(EDGE, 1, ((0, 1),), 0, suspect=False),)), b""),
    (Ask("ps"), b""),
    (Claim(1, 2**63, wait_s=0.0), b""),
]


def frame(message: Message, body: bytes = b"") -> bytes:
    return encode_frame(message, len(body)) + body


def mutated(sound: bytes, random: Random) -> bytes:
    """Return ``sound`` with a few bytes changed, moved, made up, or left out at its end."""
    data = bytearray(sound)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        match random.randrange(6):
            case 0 if data:
                data[at - 1] = random.randrange(256)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = random.randbytes(random.randint(1, 20))
            case 3:
                data[at : at + 4] = struct.pack("!I", random.choice(CLAIMED))
            case 4:
                data += struct.pack("!II", random.choice(CLAIMED), random.choice(CLAIMED))
            case _:
                data[at : at + 9] = b"\xdd" + struct.pack("!Q", random.choice(CLAIMED))
    return bytes(data)


def tell(sock: Any, data: bytes, random: Random) -> None:
    """Send ``data``, in pieces or at once, and hang up: at once, or when the head does too."""
    waits = random.random() < 0.3
    with suppress(OSError):
        at = 0
        while at < len(data):
            piece = len(data) if random.random() < 0.7 else random.randint(1, 100)
            sock.sendall(data[at : at + piece])
            at += piece
        if waits:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
    sock.close()


def knock(path: str | Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(str(path))
    return sock


def growth(head: House, attack: Callable[[Random], None], seed: int) -> int:
    """Attack for some rounds; return by how many bytes the peak grew of a head that serves on."""
    random = Random(seed)
    visit(head.unix).close()
    for _ in range(20):  # what any first peers cost
        attack(random)
    before = head.forget_peak()
    for _ in range(ROUNDS):
        attack(random)
    visit(head.unix).close()
    assert head.popen.poll() is None
    return head.peak() - before


@pytest.mark.parametrize("seed", range(2))
def test_mutated_frames_before_hello(head: House, seed: int) -> None:
    def attack(random: Random) -> None:
        said = b"".join(frame(*random.choice(SAID)) for _ in range(random.randint(0, 2)))
        tell(knock(head.unix.socket), mutated(frame(WORKER) + said, random), random)

    assert growth(head, attack, seed) < MOST_GROWTH


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("role", ["worker", "control", "agent"])
def test_mutated_frames_after_hello(head: House, role: str, seed: int) -> None:
    hello = WORKER if role == "worker" else Hello(role, "h")

    def attack(random: Random) -> None:
        said = b"".join(frame(*random.choice(SAID)) for _ in range(random.randint(1, 3)))
        tell(knock(head.unix.socket), frame(hello) + mutated(said, random), random)

    assert growth(head, attack, seed) < MOST_GROWTH


@pytest.mark.parametrize("known", [False, True], ids=["before", "after the proof of the key"])
def test_mutated_frames_over_tls(head: House, known: bool) -> None:
    def attack(random: Random) -> None:
        if known:
            wire = open_wire(head.door, 10.0)
            with suppress(OSError):
                wire.send(Hello("control", "h"))
                wire._put([mutated(frame(*random.choice(SAID)), random)])
            wire.close()
            return
        sock = socket.create_connection(("127.0.0.1", head.door.port), 10)
        tell(sock, mutated(b"\x16\x03\x01" + frame(WORKER), random), random)

    assert growth(head, attack, 7) < MOST_GROWTH


@pytest.mark.parametrize("seed", range(2))
def test_mutated_frames_at_the_stock_door_before_the_handshake(head: House, seed: int) -> None:
    sound = b"".join(
        struct.pack("!i", len(each)) + each for each in (bytes(16), b"#CHALLENGE#" + bytes(20))
    )

    def attack(random: Random) -> None:
        tell(knock(head.stock), mutated(sound, random), random)

    assert growth(head, attack, seed) < MOST_GROWTH


ITEMS = ((), ((), {}), {"block": [1, None]}, "x" * 300, list(range(50)), 2**70)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("serving", [False, True], ids=["the server", "a queue"])
def test_mutated_frames_at_the_stock_door_after_the_handshake(
    head: House, serving: bool, seed: int
) -> None:
    def request(random: Random) -> bytes:
        if not serving:
            return pickle.dumps((None, "create", ("queue", EDGE), {}), 4)
        item = random.choice(ITEMS)
        arguments, keywords = random.choice(
            (((item,), {}), ((item, False), {}), ((), {"item": item, "timeout": 0.0}))
        )
        return pickle.dumps((EDGE, "put", arguments, keywords), random.choice((4, 5)))

    def attack(random: Random) -> None:
        line = connection.Client(str(head.stock), authkey=KEY)
        if serving:
            line.send((None, "accept_connection", ("test",), {}))
            assert line.recv() == ("#RETURN", None)
        data = request(random)
        if random.random() < 0.5:
            data = mutated(struct.pack("!i", len(data)) + data, random)
        else:
            data = mutated(data, random)
            data = struct.pack("!i", len(data)) + data
        with socket.socket(fileno=_taken(line)) as sock:
            tell(sock, data, random)

    assert growth(head, attack, seed) < MOST_GROWTH


def _taken(line: connection.Connection) -> int:
    """Return the connection's descriptor, which is its taker's from now on."""
    fd = line.fileno()
    line._handle = None  # type: ignore[attr-defined]
    return fd


@pytest.mark.parametrize("behind", [b"", b"\0" * 100], ids=["a length", "and more"])
def test_a_length_behind_the_frame_that_ended_a_connection_allocates_nothing(
    head: House, behind: bytes
) -> None:
    before = head.forget_peak()
    for message in (Ask("ps"), Hello("control", "h")):
        head.popen.send_signal(signal.SIGSTOP)
        with knock(head.unix.socket) as sock:
            sock.sendall(frame(Hello("control", "h")) + frame(message))
            sock.sendall(struct.pack("!II", 100 * 2**20, 0) + behind)
        head.popen.send_signal(signal.SIGCONT)
        until(lambda: head.process.status() != "stopped", "it goes on")
        visit(head.unix).close()
    assert head.peak() - before < MOST_GROWTH


def test_a_long_frame_that_is_never_sent_costs_what_has_arrived(head: House) -> None:
    before = head.forget_peak()
    peers = []
    for _ in range(4):
        peers.append(knock(head.unix.socket))
        peers[-1].sendall(frame(Hello("control", "h")) + struct.pack("!II", 20, 60 * 2**20))
        peers[-1].sendall(b"x" * 200_000)
        visit(head.unix).close()
    assert head.peak() - before < MOST_GROWTH
    for sock in peers:
        sock.close()


def test_a_message_that_is_nested_too_deeply_is_refused_like_any_other_nonsense(
    head: House,
) -> None:
    hello = frame(Hello("control", "h", facts={"deep": None}))
    before, mark, after = hello[8:].partition(b"\xa4deep\xc0")
    nested = before + mark[:-1] + b"\x91" * 10_000 + b"\xc0" + after
    with knock(head.unix.socket) as sock:
        sock.sendall(struct.pack("!II", len(nested), 0) + nested)
        assert sock.recv(1) == b""
    said = until(head.warnings, "the head says so")
    assert "not a message: maximum recursion depth" in said[0]
