"""Who is let stand before the door, how long, and who has to go first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.wire.server.admission import (
    FORGET_S,
    MOST,
    STEP_S,
    WHOLE_S,
    Admission,
    FailedProofs,
    LogThrottle,
)


def filled(count: int, address: str = "10.0.0.9") -> Admission[str]:
    porch: Admission[str] = Admission()
    for number in range(count):
        porch.enter(f"{address} {number}", address, float(number))
    return porch


def test_the_oldest_goes_when_there_are_too_many() -> None:
    porch = filled(MOST)
    assert porch.surplus() is None
    porch.enter("one more", "10.0.0.9", 100.0)
    assert porch.surplus() == "10.0.0.9 0"


def test_a_crowd_of_one_address_costs_no_other_its_place() -> None:
    porch: Admission[str] = Admission()
    porch.enter("good", "10.0.0.1", 0.0)
    for number in range(MOST):
        porch.enter(f"bad {number}", "10.0.0.9", 1.0)
    assert porch.surplus() == "bad 0"


def test_each_step_gives_time_for_the_next_but_not_for_ever() -> None:
    porch: Admission[str] = Admission()
    porch.enter("slow", "10.0.0.1", 0.0)
    assert porch.late(STEP_S - 0.1) == []
    now = 0.0
    while now < WHOLE_S - STEP_S:
        now += STEP_S - 1
        porch.stepped("slow", now)
        assert porch.late(now + 0.5) == []
    porch.stepped("slow", now)
    assert porch.late(WHOLE_S) == ["slow"]


def test_a_peer_that_is_let_in_leaves_and_one_that_left_is_forgotten() -> None:
    porch = filled(2)
    porch.leave("10.0.0.9 0")
    porch.leave("10.0.0.9 0")
    assert porch.everybody() == ["10.0.0.9 1"]
    porch.leave("10.0.0.9 1")
    assert (len(porch), porch.oldest(), porch.next_late()) == (0, None, None)


def test_a_peer_keeps_its_time_when_it_stands_there_as_another() -> None:
    porch: Admission[str] = Admission()
    porch.enter("opening", "10.0.0.1", 0.0)
    porch.replaced("opening", "connection")
    assert "opening" not in porch
    assert porch.late(STEP_S) == ["connection"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=200))
def test_the_one_that_has_to_go_is_always_of_the_largest_crowd(
    steps: list[tuple[str, bool]],
) -> None:
    porch: Admission[int] = Admission()
    here: dict[int, str] = {}
    for number, (address, leaves) in enumerate(steps):
        if leaves and here:
            gone = next(iter(here))
            porch.leave(gone)
            del here[gone]
        else:
            porch.enter(number, address, 0.0)
            here[number] = address
        oldest = porch.oldest()
        assert (oldest is None) == (not here)
        if oldest is not None:
            crowds = [list(here.values()).count(each) for each in here.values()]
            assert list(here.values()).count(here[oldest]) == max(crowds)
            older = [n for n in here if n < oldest]
            assert all(list(here.values()).count(here[n]) < max(crowds) for n in older)


def test_failed_proofs_make_an_address_wait_longer_and_longer_up_to_a_bound() -> None:
    failures = FailedProofs()
    assert failures.wait_s("10.0.0.9", 0.0) == 0.0
    waits = []
    for _ in range(10):
        failures.failed("10.0.0.9", 0.0)
        waits.append(failures.wait_s("10.0.0.9", 0.0))
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    assert failures.wait_s("10.0.0.1", 0.0) == 0.0
    assert failures.wait_s("10.0.0.9", 8.0) == 0.0


def test_a_good_proof_or_a_minute_makes_up_for_failures() -> None:
    failures = FailedProofs()
    failures.failed("10.0.0.9", 0.0)
    failures.failed("10.0.0.9", 0.0)
    failures.passed("10.0.0.9")
    failures.failed("10.0.0.9", 0.0)
    assert failures.wait_s("10.0.0.9", 0.0) == 0.25
    failures.failed("10.0.0.9", FORGET_S)
    assert failures.wait_s("10.0.0.9", FORGET_S) == 0.25


def test_failures_of_many_addresses_cost_a_bounded_memory() -> None:
    failures = FailedProofs()
    for number in range(5000):
        failures.failed(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(failures._failed) <= 1024


def test_the_same_is_said_once_in_ten_seconds_and_then_how_often_it_was() -> None:
    hush = LogThrottle()
    assert hush.words("knock", 0.0) == "knock"
    assert [hush.words("knock", now) for now in (1.0, 2.0, 9.9)] == ["", "", ""]
    assert hush.words("knock", 10.0) == "knock (3 more like it)"
    assert hush.words("other", 10.0) == "other"
    assert hush.words("knock", 20.0) == "knock"


def test_a_thousand_different_lines_at_once_are_not_all_said() -> None:
    hush = LogThrottle()
    said = [hush.words(f"turned away 10.0.0.{number}", 0.0) for number in range(1000)]
    assert sum(map(bool, said)) == 100
    assert hush.words("turned away 10.0.0.1", FORGET_S * 2) == "turned away 10.0.0.1"
