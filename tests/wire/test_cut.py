"""A connection that ends anywhere: no half of anything is taken for a whole."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.errors import NoHead
from pipeline_runner.wire.client.tls import open_sealed
from pipeline_runner.wire.control_messages import Answer, Ask
from pipeline_runner.wire.messages import Hello
from tests.wire.house import visit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.wire.client.connection import Wire
    from tests.wire.house import House

SIZE = 40_000  # of the body that is cut
STEPS = 60


class Shears:
    """Passes so many bytes from the head on, then ends the connection, or only ``holds`` it."""

    def __init__(self, port: int, most: int, *, holds: bool = False) -> None:
        self._over = threading.Event()
        self._holds = holds
        self.passed = 0
        self._most = most
        self._head = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError), self._listener.accept()[0] as client:
            with socket.create_connection(("127.0.0.1", self._head)) as head:
                up = threading.Thread(target=self._pass_up, args=(client, head), daemon=True)
                up.start()
                while self.passed < self._most:
                    data = head.recv(min(4096, self._most - self.passed))
                    if not data:
                        break
                    self.passed += len(data)
                    client.sendall(data)
                if self._holds:
                    self._over.wait(20)
                for sock in (client, head):
                    sock.shutdown(socket.SHUT_RDWR)
            up.join(10)

    def _pass_up(self, client: socket.socket, head: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(4096):
                head.sendall(data)


@contextmanager
def cut_after(head: House, most: int, *, holds: bool = False) -> Iterator[Shears]:
    shears = Shears(head.door.port, most, holds=holds)
    try:
        yield shears
    finally:
        shears.close()


def ask_for_data(head: House, most: int) -> tuple[int, bytes | None]:
    """Ask for a body; return how many bytes passed, and the body, None if it did not come."""
    with cut_after(head, most) as shears:
        wire: Wire | None = None
        try:
            wire = open_sealed(replace(head.door, port=shears.port), 10)
            wire.send(Hello("control", "somewhere"))
            wire.send(Ask("data", {"size": SIZE}))
            answer, data = wire.receive()
        except (NoHead, EOFError, OSError):
            return shears.passed, None
        finally:
            if wire is not None:
                wire.close()
        assert answer == Answer({})
        return shears.passed, bytes(data)


def test_a_connection_cut_after_any_number_of_bytes_gives_a_whole_answer_or_none(
    head: House,
) -> None:
    whole, data = ask_for_data(head, 10**9)
    assert data == bytes(SIZE)
    for step in range(STEPS):
        passed, data = ask_for_data(head, whole * step // STEPS)
        assert passed == whole * step // STEPS
        assert data is None
    visit(head.door).close()
    assert all("TLS" not in line for line in head.warnings()), "nobody did anything wrong"


def test_a_body_comes_in_whole_however_it_is_asked_for(head: House) -> None:
    wire = visit(head.door)
    for size in (0, 1, 16_000, 16_384, 16_385, 70_000, 1_000_000, 9_000_000):
        wire.send(Ask("data", {"size": size}))
        found: list[tuple[object, bytes | memoryview]] = []
        while not found:  # as a loop does that may not wait
            found = wire.receive_now()
        assert [(answer, len(data)) for answer, data in found] == [(Answer({}), size)]
    wire.close()


def test_many_answers_come_in_order_behind_a_large_one(head: House) -> None:
    wire = visit(head.door)
    wire.send(Ask("data", {"size": 3_000_000}))
    for number in range(50):
        wire.send(Ask(f"verb {number}"))
    assert len(wire.receive()[1]) == 3_000_000
    verbs = [wire.receive()[0] for _ in range(50)]
    assert verbs == [Answer({"verb": f"verb {number}"}) for number in range(50)]
    wire.close()


def test_bytes_that_arrived_count_as_a_sign_of_life_before_their_message_is_whole(
    head: House,
) -> None:
    with cut_after(head, 10**6, holds=True) as shears:
        wire = open_sealed(replace(head.door, port=shears.port), 10)
        wire.send(Hello("control", "somewhere"))
        wire.send(Ask("data", {"size": 2 * 10**6}))
        while shears.passed < 10**6 or not wire.heard:
            assert wire.receive_now() == []
        wire.close()


def test_a_wait_for_a_head_that_is_silent_ends(head: House) -> None:
    wire = visit(head.door)
    wire.set_timeout(0.1)
    with pytest.raises(TimeoutError):
        wire.receive()
    wire.close()
