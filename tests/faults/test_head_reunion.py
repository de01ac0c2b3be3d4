"""What a worker says to the next head, and what it makes of the answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.wire.messages import (
    Adopt,
    Adopted,
    Advance,
    Cursor,
    Done,
    Granted,
    Output,
    Return,
    Settle,
)
from pipeline_runner.worker.session.failover import next_pause_s
from pipeline_runner.worker.session.ledger import Ledger
from pipeline_runner.worker.session.readopt import TokenMap, adopt, adopt_nothing
from tests.queues.desk import owe

if TYPE_CHECKING:
    from collections.abc import Sequence


class Head:
    """The other end of a wire: answers an ADOPT with the leases it was made with."""

    def __init__(self, *leases: tuple[int, tuple[tuple[int, int], ...]]) -> None:
        self.sock = self
        self.leases = leases
        self.heard: list[tuple[Any, Sequence[bytes]]] = []

    def set_timeout(self, _seconds: float | None) -> None: ...

    def send(self, message: Any, bodies: Sequence[bytes] = ()) -> None:
        self.heard.append((message, bodies))

    def receive(self) -> tuple[Adopted, bytes]:
        asked = self.heard[-1][0]
        assert isinstance(asked, Adopt)
        return Adopted(asked.seq, self.leases), b""


def holding(*tokens: int) -> Ledger:
    """A ledger with a lease of ten items for each token."""
    ledger = Ledger("run-1")
    for token in tokens:
        ledger.granted(Granted(1, token, "a->b", 100 + token, 0, 10, 10, 1))
    return ledger


def test_what_is_adopted_whole_goes_on_under_its_new_token() -> None:
    ledger = holding(1, 2)
    head: Any = Head((11, ((0, 10),)), (0, ()))
    assert adopt(head, ledger) == {1: 11, 2: 0}
    assert set(ledger.holdings) == {11}


def test_what_is_adopted_in_part_is_given_back() -> None:
    ledger = holding(1)
    head: Any = Head((11, ((3, 7),)))
    assert adopt(head, ledger) == {1: 0}
    assert not ledger.holdings
    assert head.heard[-1][0] == Return(11)


def test_a_settle_is_sent_again_if_all_it_took_was_adopted() -> None:
    ledger = holding(1, 2)
    owe(ledger, Done(1), outputs=[Output(("b->c",), 10, 3)], data=[b"one"])
    owe(ledger, Done(2), outputs=[Output(("b->c",), 10, 3)], data=[b"two"])
    head: Any = Head((0, ()), (12, ((0, 10),)))
    assert adopt(head, ledger) == {}
    [(again, data)] = [said for said in head.heard if isinstance(said[0], Settle)]
    assert (again.done, data) == ((Done(12),), [b"two"])
    assert list(ledger.owed) == [again.seq]


def test_the_rest_of_a_settled_lease_and_the_settle_each_get_a_lease() -> None:
    ledger = holding(1)
    owe(ledger, Done(1, ((0, 4),)))
    head: Any = Head((11, ((4, 10),)), (12, ((0, 4),)))
    assert adopt(head, ledger) == {1: 11}
    assert ledger.holdings[11].spans == ((4, 10),)
    assert [said.done[0].token for said, _data in head.heard if isinstance(said, Settle)] == [12]


def test_a_token_leads_to_its_latest_name() -> None:
    renaming = TokenMap()
    assert not renaming
    renaming.add({1: 11, 2: 12})
    renaming.add({11: 21, 12: 0})
    assert [renaming.token(token) for token in (1, 2, 11, 5)] == [21, 0, 21, 5]


def owing(*seqs: int) -> Ledger:
    """A source's ledger with a settle without an answer from each sequence number to the next."""
    ledger = Ledger("run-1")
    for seq in seqs:
        ledger.granted(Granted(1, seq + 100, "", 0, 0, 5, 5, 0))
        owe(ledger, Done(seq + 100), advance=Advance(seq, Cursor(seq + 1, (seq + 1) * 5)))
    return ledger


@pytest.mark.parametrize(
    ("durable", "again"),
    [(3, [3, 4]), (4, [4]), (5, []), (2, None), (6, None)],
    ids=["none applied", "one applied", "all applied", "undone", "another went on"],
)
def test_a_source_sends_again_what_the_durable_cursor_has_not_got(
    durable: int, again: list[int] | None
) -> None:
    ledger = owing(3, 4)
    head: Any = Head()
    unsent = adopt_nothing(head, ledger, Cursor(durable), 5)
    assert not ledger.holdings
    if again is None:
        assert unsent is None
        assert not ledger.owed
        return
    assert unsent is not None
    assert [one.settle.advance.expected for one in unsent if one.settle.advance] == again
    assert deque(ledger.owed.values()) == unsent


def test_a_settle_sent_again_comes_with_its_new_lease_and_one_claim() -> None:
    ledger = owing(3)
    [owed] = ledger.owed.values()
    ledger.granted(Granted(1, 900, "", 0, 0, 5, 5, 0))
    claim = ledger.claim(1)
    again = ledger.again(owed, 900, claim)
    assert again.settle.done == (Done(900),)
    assert again.settle.claim == claim
    assert again.settle.advance == owed.settle.advance
    assert list(ledger.owed) == [again.settle.seq]
    assert not ledger.holdings


def test_a_head_that_hangs_up_again_and_again_is_called_less_and_less_often() -> None:
    pauses = [0.0]
    for _ in range(12):
        pauses.append(next_pause_s(0.01, pauses[-1]))
    assert pauses[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == 10.0
    assert next_pause_s(3600.0, pauses[-1]) == 0.0, "a connection that held is looked for at once"
