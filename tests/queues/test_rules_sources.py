"""Sources: rules 17 and 18."""

from __future__ import annotations

import pytest

from pipeline_runner.wire.messages import Advance, Cursor, Done, End, Failure, Granted
from tests.queues.desk import Desk, Seat
from tests.queues.shapes import graph

ONE = graph((("s", "a"),), backoff_s=2.0, attempts=2)


def started() -> tuple[Desk, Seat]:
    desk = Desk(ONE)
    return desk, desk.worker("s-1", "s")


def test_a_source_step_is_applied_where_its_expected_number_is_the_heads() -> None:
    desk, source = started()
    seq = source.emit(source.claim(), 0, 1)
    desk.commit()
    assert source.ok(seq)
    assert desk.disk.cursors["s", 0] == Cursor(1, 1)


def test_a_repeated_source_settle_has_no_effect() -> None:
    desk, source = started()
    source.emit(source.claim(), 0, 1)
    desk.commit()
    seq = source.emit(source.claim(), 0, 1)
    assert source.ok(seq) is False
    assert desk.broker.state.edges["s->a"].published == 1


def test_a_refusal_carries_the_durable_cursor_not_the_promised_one() -> None:
    desk, source = started()
    source.emit(source.claim(), 0, 1)  # read, not durable
    seq = source.emit(source.claim(), 0, 1)
    answer = source.answer(seq)
    assert answer is not None
    assert (answer.ok, answer.cursor) == (False, Cursor(0, 0))
    desk.commit()
    seq = source.emit(source.claim(), 0, 1)
    answer = source.answer(seq)
    assert answer is not None
    assert (answer.ok, answer.cursor) == (False, Cursor(1, 1))


def test_session_carries_the_durable_cursor_over_a_restart_too() -> None:
    desk, source = started()
    assert source.cursor == Cursor()
    mark = Cursor(1, 1, b"page 7")
    source.settle(Done(source.claim().token), out=[("s->a", 1)], advance=Advance(0, mark))
    assert source.reconnect().cursor == Cursor()
    desk.commit()
    assert source.reconnect().cursor == mark
    assert desk.restart().worker("s-2", "s").cursor == mark


def test_a_source_settle_without_the_live_lease_is_refused() -> None:
    _desk, source = started()
    lease = source.claim()
    again = source.reconnect()
    again.adopt()
    assert again.ok(again.emit(lease, 0, 1)) is False


def test_a_share_of_a_source_has_one_holder() -> None:
    desk, source = started()
    source.claim()
    rival = desk.worker("s-2", "s")
    assert rival.claim() is None
    desk.died("s-1")
    assert rival.last(Granted).edge == ""


def test_a_step_behind_one_that_failed_is_refused_with_it() -> None:
    """Without it, the cursor passes items that were never published."""
    desk, source = started()
    first = source.emit(source.claim(), 0, 1)
    second = source.emit(source.claim(), 1, 1)
    desk.commit(ok=False)
    assert (source.ok(first), source.ok(second)) == (False, False)
    seq = source.emit(source.claim(), 0, 1)
    desk.commit()  # of the second: its store takes it no more than the broker did
    assert not desk.disk.cursors
    desk.commit()
    assert source.ok(seq)
    assert desk.disk.cursors["s", 0].seq == 1


def test_no_worker_is_granted_more_while_eight_settles_of_its_wait_for_the_disk() -> None:
    """Nothing else bounds what is not durable yet: not the edges, which do not have it."""
    desk, source = started()
    for number in range(8):
        source.emit(source.claim(), number, 1)
    assert source.claim() is None
    assert len(desk.waiting) == 8
    desk.commit()
    assert source.last(Granted).edge == ""


def test_steps_in_a_row_become_durable_in_a_row() -> None:
    desk, source = started()
    first = source.emit(source.claim(), 0, 1)
    second = source.emit(source.claim(), 1, 1)
    desk.commit_all()
    assert (source.ok(first), source.ok(second)) == (True, True)
    assert desk.disk.cursors["s", 0].seq == 2


def test_two_branches_of_a_source_never_meet_at_a_number() -> None:
    """The numbers of a refused branch reach those of the applied one: without it, items twice."""
    desk, source = started()
    source.emit(source.claim(), 0, 3)  # read, and long on its way to the disk
    refused = source.emit(source.claim(), 0, 1)  # another branch, from the durable cursor
    ahead = source.claim()
    stale = source.settle(
        Done(source.claim().token),
        advance=Advance(0, Cursor(1, 0)),
    )
    assert (source.ok(refused), source.ok(stale)) == (False, False)
    built_on_it = source.settle(
        Done(ahead.token), out=[("s->a", 1)], advance=Advance(1, Cursor(2, 1))
    )
    assert source.ok(built_on_it) is False
    desk.commit_all()
    assert desk.disk.cursors["s", 0] == Cursor(1, 3)


def test_finished_goes_through_the_same_compare_and_set() -> None:
    desk, source = started()
    assert source.ok(source.emit(source.claim(), 7, 0, finished=True)) is False
    source.emit(source.claim(), 0, 0, finished=True)
    assert desk.worker("a-1", "a").claim() is None  # not durable yet
    desk.commit()
    assert isinstance(source.claim(), End)
    assert isinstance(desk.worker("a-2", "a").claim(), End)


def test_a_source_is_refused_after_it_finished() -> None:
    desk, source = started()
    lease = source.claim()
    source.emit(lease, 0, 0, finished=True)
    assert source.claim() is None  # no leave to emit once it said that it is through
    desk.commit()
    assert source.ok(source.emit(lease, 1, 1)) is False
    late = desk.worker("s-2", "s")
    assert isinstance(late.claim(), End)
    later = desk.restart().worker("s-3", "s")
    assert isinstance(later.claim(), End)


def test_a_source_whose_finish_was_refused_goes_on() -> None:
    desk, source = started()
    source.emit(source.claim(), 0, 0, finished=True)
    desk.commit(ok=False)
    assert source.claim() is not None


def test_each_process_of_a_source_has_its_own_cursor_and_all_have_to_finish() -> None:
    desk = Desk(ONE)
    desk.broker.processes("s", 2)
    first, second = desk.worker("s-1", "s", 0), desk.worker("s-2", "s", 1)
    worker = desk.worker("a-1", "a")
    worker.claim()
    first.emit(first.claim(), 0, 0, finished=True)
    desk.commit()
    assert isinstance(first.claim(), End)
    assert not worker.all(End)
    after = Cursor(1, 0, None, finished=True)
    second.settle(Done(second.claim().token), advance=Advance(0, after))
    desk.commit()
    assert worker.all(End)
    assert desk.disk.cursors == {("s", 0): after, ("s", 1): after}


def test_a_source_that_fails_rests_and_then_goes_on_from_its_cursor() -> None:
    desk, source = started()
    source.settle(failed=[Failure(source.claim().token, 0, "OSError: no feed", "")])
    desk.commit()
    source.claim()
    assert len(source.all(Granted)) == 1
    desk.wait(2.0)
    assert len(source.all(Granted)) == 2
    source.emit(source.last(Granted), 0, 1)
    desk.commit()
    assert desk.broker.state.stages["s"].source(0).failures == 0


def test_a_source_that_fails_too_often_ends_where_its_durable_cursor_is() -> None:
    desk, source = started()
    for _ in range(2):
        lease = source.claim()
        source.settle(failed=[Failure(lease.token, 0, "OSError: no feed", "")])
        desk.commit()
        desk.wait(2.0)
    assert [letter.item_id for letter in desk.disk.letters] == [""]
    assert desk.disk.cursors["s", 0] == Cursor(1, 0, None, finished=True)
    assert isinstance(source.claim(), End)


def test_a_source_that_dies_for_good_behind_a_step_ends_behind_that_step() -> None:
    desk = Desk(graph((("s", "a"),), attempts=1))
    source = desk.worker("s-1", "s")
    source.emit(source.claim(), 0, 3)
    lease = source.claim()
    desk.died("s-1", lease.token)
    desk.commit_all()
    assert desk.disk.cursors["s", 0] == Cursor(2, 3, None, finished=True)


def test_a_source_that_dies_for_good_behind_a_step_that_failed_ends_before_it() -> None:
    desk = Desk(graph((("s", "a"),), attempts=1))
    source = desk.worker("s-1", "s")
    source.emit(source.claim(), 0, 3)
    lease = source.claim()
    desk.died("s-1", lease.token)
    desk.commit(ok=False)
    desk.commit_all()
    assert desk.disk.cursors["s", 0] == Cursor(1, 0, None, finished=True)
    assert desk.queued("s->a") == []


@pytest.mark.parametrize("names_its_lease_done", [True, False])
def test_several_values_of_one_step_may_be_lost_each_with_a_letter(
    names_its_lease_done: bool,
) -> None:
    desk, source = started()
    lease = source.claim()
    done = [Done(lease.token)] if names_its_lease_done else []
    lost = [Failure(lease.token, 0, "TypeError", "", payload=repr(value)) for value in (1, 2)]
    seq = source.settle(*done, out=[("s->a", 1)], failed=lost, advance=Advance(0, Cursor(1, 3)))
    desk.commit()
    assert source.ok(seq)
    assert [letter.shown for letter in desk.disk.letters] == ["1", "2"]
    assert desk.disk.cursors["s", 0].count == 3
