"""Messages of workers that a head cannot take: charged with the reason, and never sent again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from pipeline_runner.queues.dead_letters import read
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.codec import encode
from pipeline_runner.wire.messages import (
    Advance,
    Claim,
    Cursor,
    Done,
    Failure,
    Granted,
    Hello,
    Output,
    Session,
    Settle,
    Settled,
    Stage,
)
from tests.e2e.kit import until
from tests.wire.house import House, house, visit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_runner.wire.client.connection import Wire

EDGE = "numbers->keep"
LARGE = bytes(9 * 2**20)  # the bound is 8 MiB and an item
WORDS = "a body of 9437184 bytes; at most 8398608 (raise max_item in [server])"
LONG = "x" * (8 * 2**20)


@pytest.fixture
def head(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, most_item=10_000) as served:
        yield served
        while Worker.wires:
            Worker.wires.pop().close()


class Worker:
    """A worker of one stage, at the head's door."""

    wires: ClassVar[list[Wire]] = []

    def __init__(self, head: House, stage: str, number: int = 1, door: Any = None) -> None:
        self.wire: Wire = open_wire(door or head.unix, 10.0)
        self.wires.append(self.wire)
        self.wire.send(Hello("worker", "h", f"h/{stage}[0]/{number}", stage))
        session, _fd = self.wire.receive_first()
        assert isinstance(session, Session)
        self.cursor = session.cursor

    def claim(self, seq: int, wait_s: float | None = None) -> Any:
        self.wire.send(Claim(seq, 100, wait_s=wait_s))
        return self.hear()

    def hear(self) -> Any:
        return self.wire.receive()[0]


def emit(head: House, *items: int) -> Worker:
    """Put ``items`` on the edge."""
    source = Worker(head, "numbers")
    lease = source.claim(1)
    body = encode(list(items))
    output = Output((EDGE,), len(items), len(body))
    after = Cursor(1, len(items))
    settle = Settle(2, (Done(lease.token),), (output,), advance=Advance(0, after))
    source.wire.send(settle, [body])
    assert source.hear() == Settled(2, ok=True, cursor=after)
    return source


def too_large(seq: int, lease: Granted, claim: Claim | None = None) -> Settle:
    return Settle(seq, (Done(lease.token),), (Output((EDGE,), 1, len(LARGE)),), claim=claim)


@pytest.mark.parametrize("over", ["unix", "tls"])
def test_an_item_whose_outputs_are_too_large_to_take_is_a_dead_letter_that_says_so(
    head: House, over: str
) -> None:
    emit(head, 7)
    worker = Worker(head, "keep", door=head.door if over == "tls" else None)
    lease = worker.claim(1)
    before = head.forget_peak()
    worker.wire.send(too_large(2, lease, Claim(3, 100, wait_s=0.0)), [LARGE])
    heard = {type(message).__name__: message for message in (worker.hear(), worker.hear())}
    assert heard["Settled"] == Settled(2, ok=False)
    assert "Empty" in heard, "it is not sent again, and the worker goes on"
    (letter,) = until(lambda: read(head.said.parent), "the letter")
    assert (letter.error, letter.cause, letter.payload()) == (WORDS, "refused", 7)
    assert head.peak() - before < 2 * 2**20, "what is too large is not kept"
    visit(head.unix).close()


def test_of_several_items_each_runs_alone_before_one_is_charged(head: House) -> None:
    emit(head, 1, 2, 3)
    worker = Worker(head, "keep")
    lease = worker.claim(1)
    assert (lease.lo, lease.hi) == (0, 3)
    worker.wire.send(too_large(2, lease), [LARGE])
    assert worker.hear() == Settled(2, ok=False)
    assert read(head.said.parent) == []
    for index in range(3):
        lease = worker.claim(3 + index)
        assert (lease.lo, lease.hi, lease.suspect) == (index, index + 1, True)
        if index == 1:
            worker.wire.send(too_large(10, lease), [LARGE])
            assert worker.hear() == Settled(10, ok=False)
        else:
            worker.wire.send(Settle(11, (Done(lease.token),)))
            assert worker.hear() == Settled(11, ok=True)
    (letter,) = until(lambda: read(head.said.parent), "the letter")
    assert (letter.error, letter.payload()) == (WORDS, 2)


def test_outputs_sent_ahead_that_are_too_large_charge_their_item(head: House) -> None:
    emit(head, 7)
    worker = Worker(head, "keep")
    lease = worker.claim(1)
    output = Output((EDGE,), 1, len(LARGE))
    worker.wire.send(Stage(lease.token, ((0, 1),), 1, output), [LARGE])
    (letter,) = until(lambda: read(head.said.parent), "the letter")
    assert letter.error == WORDS
    worker.wire.send(Settle(2, (Done(lease.token),), staged=(1,)))
    assert worker.hear() == Settled(2, ok=False)


def test_a_source_whose_outputs_are_too_large_has_failed_and_ends_after_its_attempts(
    head: House,
) -> None:
    source = emit(head, 7)
    failures = 0
    while isinstance(lease := source.claim(10 + failures), Granted):
        failures += 1
        output = Output((EDGE,), 1, len(LARGE))
        advance = Advance(1, Cursor(2, 2))
        source.wire.send(Settle(20, (Done(lease.token),), (output,), advance=advance), [LARGE])
        assert source.hear() == Settled(20, ok=False, cursor=Cursor(1, 1))
    assert failures == 3
    (letter,) = until(lambda: read(head.said.parent), "the letter")
    assert (letter.stage, letter.error) == ("numbers", WORDS)


def test_a_message_that_is_too_long_to_read_charges_the_item_in_hand_and_ends_the_connection(
    head: House,
) -> None:
    emit(head, 7)
    worker = Worker(head, "keep")
    lease = worker.claim(1)
    with suppress(OSError):  # it may be hung up on while it still sends
        worker.wire.send(Settle(2, (), failed=(Failure(lease.token, 0, LONG, ""),)))
    with pytest.raises((EOFError, OSError)):
        worker.hear()
    (letter,) = until(lambda: read(head.said.parent), "the letter")
    assert letter.error.startswith("a message of 83")
    assert letter.error.endswith("; at most 8388608")
    again = Worker(head, "keep", 2)
    assert not isinstance(again.claim(1, 0.0), Granted)
