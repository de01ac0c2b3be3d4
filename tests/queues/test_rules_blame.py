"""Death, blame, retries and dead letters: rules 14 to 16."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline_runner.queues.broker.effects import Failed, Stopped
from pipeline_runner.queues.broker.ranges import subtract
from pipeline_runner.wire.messages import Done, Granted
from pipeline_runner.wire.repack import MOST_MOVED_BYTES, name_of
from tests.queues.desk import Desk, Seat, failure, stocked
from tests.queues.shapes import graph

ONE = (("s", "a"),)


def eager(**rules: Any) -> Desk:
    """Five items for one stage whose retries do not wait."""
    return Desk(graph(ONE, **({"backoff_s": 0.0} | rules)), stocked(sa=[5]))


def test_a_death_frees_only_what_is_not_settling() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(3)
    worker.settle(Done(lease.token, ((0, 1),)))
    desk.died("a-1")
    assert desk.queued("s->a") == [(1, 1, 5)]
    desk.commit()  # the settle was read before the death: it stands
    assert desk.queued("s->a") == [(1, 1, 5)]
    assert desk.broker.state.edges["s->a"].settled == 1


def test_the_one_item_in_the_lease_that_ran_is_charged_and_no_other() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    running, ahead = worker.claim(1), worker.claim(2)
    desk.died("a-1", running.token)
    desk.commit()
    assert (ahead.lo, ahead.hi) == (1, 3)
    assert desk.attempts("s->a") == {0: 1, 1: 0, 2: 0, 3: 0, 4: 0}


def test_the_last_unsettled_item_of_a_larger_lease_is_charged() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(3)
    worker.settle(Done(lease.token, ((0, 2),)))
    desk.died("a-1", lease.token)
    desk.commit_all()
    assert desk.attempts("s->a")[2] == 1


def test_several_unsettled_items_return_uncharged_as_suspects() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(3)
    desk.died("a-1", lease.token)
    desk.commit()
    assert desk.attempts("s->a") == dict.fromkeys(range(5), 0)
    suspects = [r for r in desk.disk.ranges["s->a", 1] if r.suspect]
    assert [(r.lo, r.hi) for r in suspects] == [(0, 3)]


def test_nobody_is_charged_for_a_death_between_two_leases() -> None:
    desk = eager()
    desk.worker("a-1", "a").claim(1)
    desk.died("a-1", running=0)
    assert not desk.waiting
    assert desk.attempts("s->a")[0] == 0


def die_before_it_begins(desk: Desk, number: int, want: int, cause: str) -> None:
    desk.worker(f"a-{number}", "a").claim(want)
    desk.died(f"a-{number}", running=0, cause=cause)
    desk.commit_all()


def test_an_item_that_no_worker_lives_to_begin_is_charged_and_becomes_a_letter() -> None:
    desk = eager(attempts=2)
    letters: list[tuple[int, str]] = []
    for number in range(4):
        die_before_it_begins(desk, number, 1, "died: killed by SIGKILL")
        letters = [(letter.index, letter.error) for letter in desk.disk.letters]
    assert letters == [(0, "the process died: killed by SIGKILL")]
    assert desk.attempts("s->a") == dict.fromkeys(range(1, 5), 0)


def test_items_that_no_worker_lives_to_begin_run_alone_from_then_on() -> None:
    desk = eager(attempts=2)
    for number in range(2):
        die_before_it_begins(desk, number, 3, "died: killed by SIGKILL")
    assert desk.attempts("s->a") == dict.fromkeys(range(5), 0)
    suspects = [r for r in desk.disk.ranges["s->a", 1] if r.suspect]
    assert [(r.lo, r.hi) for r in suspects] == [(0, 3)]


def test_a_worker_that_is_stopped_before_it_begins_charges_nobody_however_often() -> None:
    desk = eager(attempts=2)
    for number in range(9):
        die_before_it_begins(desk, number, 1, "stopped: at once")
    assert desk.attempts("s->a") == dict.fromkeys(range(5), 0)
    assert not [r for r in desk.disk.ranges["s->a", 1] if r.suspect]


def test_a_token_of_an_earlier_session_charges_nobody() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(1)
    worker.reconnect()
    desk.died("a-1", lease.token + 99)
    assert desk.attempts("s->a")[0] == 0


def test_a_lost_host_charges_nobody() -> None:
    desk = eager()
    for number in (1, 2):
        desk.worker(f"a-{number}", "a", host="south").claim(number)
    kept = desk.worker("a-3", "a", host="north").claim(1)
    desk.lost("south")
    assert not desk.waiting
    assert set(desk.attempts("s->a").values()) == {0}
    assert desk.queued("s->a") == [(1, 0, 3), (1, 4, 5)]
    assert kept.lo == 3


def test_a_timeout_charges_the_index_that_ran_and_returns_its_neighbours_unsuspected() -> None:
    desk = eager()
    lease = desk.worker("a-1", "a").claim(3)
    desk.died("a-1", lease.token, index=1)
    desk.commit()
    assert desk.attempts("s->a") == {0: 0, 1: 1, 2: 0, 3: 0, 4: 0}
    assert not any(r.suspect for r in desk.disk.ranges["s->a", 1])


def test_a_batch_that_dies_with_all_it_holds_charges_only_a_single_item() -> None:
    desk = eager()
    desk.worker("a-1", "a").claim(1)
    desk.died("a-1", running=-1)
    desk.commit()
    assert desk.attempts("s->a")[0] == 1
    several = desk.worker("a-2", "a")
    several.claim(1)
    several.claim(1)
    desk.died("a-2", running=-1)
    desk.commit()
    assert sum(desk.attempts("s->a").values()) == 1


def test_a_source_that_died_with_all_its_leases_is_not_put_on_an_edge() -> None:
    desk = eager()
    source = desk.worker("s-1", "s")
    source.claim()
    source.claim()
    desk.died("s-1", running=-1)
    desk.commit_all()
    assert desk.worker("s-2", "s").claim() is not None


def test_a_second_report_of_a_death_changes_nothing() -> None:
    desk = eager()
    lease = desk.worker("a-1", "a").claim(1)
    desk.died("a-1", lease.token)
    desk.died("a-1", lease.token)
    desk.commit_all()
    assert desk.attempts("s->a")[0] == 1


# ---- suspects


def suspects(desk: Desk) -> None:
    worker = desk.worker("a-0", "a")
    worker.give_back(worker.claim(3).token, suspect=True)
    desk.commit()


def test_a_batch_that_raised_returns_as_suspects_after_the_commit() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    worker.give_back(worker.claim(5).token, suspect=True)
    assert worker.claim() is None
    desk.commit()
    assert worker.last(Granted).suspect
    assert all(r.suspect for r in desk.disk.ranges["s->a", 1])


def test_suspects_go_one_at_a_time_to_workers_that_hold_nothing() -> None:
    desk = eager()
    busy = desk.worker("a-1", "a")
    busy.claim(1)
    suspects_of = desk.worker("a-2", "a")
    suspects_of.give_back(suspects_of.claim(3).token, suspect=True)
    desk.commit()
    assert busy.claim(1) is None  # it holds something
    alone = desk.worker("a-3", "a").claim(64)
    assert (alone.hi - alone.lo, alone.suspect) == (1, True)


def test_nothing_is_prefetched_beside_a_suspect_not_even_from_another_edge() -> None:
    desk = Desk(graph((("s", "a"), ("t", "a"))), stocked(sa=[2], ta=[2]))
    worker = desk.worker("a-1", "a")
    worker.give_back(worker.claim(2).token, suspect=True)
    desk.commit()
    while not (lease := worker.claim(2)).suspect:
        worker.settle(Done(lease.token))
    assert worker.claim(1) is None
    worker.settle(Done(lease.token))
    assert worker.last(Granted).suspect  # the claim that waited


def test_a_claim_made_ahead_is_served_when_the_hands_are_empty_at_last() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(1)
    suspects(desk)
    assert worker.claim() is None
    worker.settle(Done(lease.token))
    assert worker.last(Granted).suspect


def test_a_suspect_that_succeeds_is_gone_like_any_other() -> None:
    desk = eager()
    suspects(desk)
    worker = desk.worker("a-1", "a")
    for _ in range(5):
        worker.settle(Done(worker.claim(1).token))
        desk.commit()
    assert desk.broker.state.edges["s->a"].settled == 5


def test_only_the_guilty_suspect_is_charged() -> None:
    desk = eager()
    lease = desk.worker("a-1", "a").claim(3)
    desk.died("a-1", lease.token)
    desk.commit()
    guilty = desk.worker("a-2", "a").claim(3)
    desk.died("a-2", guilty.token)
    desk.commit()
    charged = [index for index, attempts in desk.attempts("s->a").items() if attempts]
    assert charged == [guilty.lo]


# ---- retries, letters


def fail_once(desk: Desk, worker: Seat) -> Granted:
    lease: Granted = worker.claim(1)
    worker.settle(failed=[failure(lease, lease.lo)])
    desk.commit()
    return lease


def test_a_failed_item_becomes_a_range_of_its_own_and_its_neighbours_are_unharmed() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(3)
    seq = worker.settle(Done(lease.token, ((0, 1), (2, 3))), failed=[failure(lease, 1)])
    desk.commit()
    assert worker.ok(seq)
    assert desk.attempts("s->a") == {1: 1, 3: 0, 4: 0}


def test_a_retry_is_granted_after_its_backoff_and_not_before() -> None:
    desk = Desk(graph(ONE, backoff_s=2.0, factor=3.0, cap_s=5.0), stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    fail_once(desk, worker)
    worker.claim()
    desk.wait(1.999)
    assert len(worker.all(Granted)) == 1
    assert desk.broker.wake_at == pytest.approx(1002.0)
    desk.wait(0.001)
    assert worker.last(Granted).attempts == 1


def test_backoff_grows_by_its_factor_up_to_its_cap() -> None:
    spec = graph(ONE, backoff_s=2.0, factor=3.0, cap_s=10.0).stages["a"]
    assert [spec.retry_s(attempts) for attempts in (1, 2, 3, 4)] == [2.0, 6.0, 10.0, 10.0]


def test_each_retry_is_announced_with_its_attempt_and_wait() -> None:
    desk = Desk(graph(ONE, backoff_s=2.0, attempts=3), stocked(sa=[1]))
    fail_once(desk, desk.worker("a-1", "a"))
    assert desk.effects == [Failed("a", "run-1:s->a:1:0", 1, 3, "ValueError: no", 2.0)]


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_an_item_is_a_dead_letter_after_exactly_its_attempts(attempts: int) -> None:
    desk = Desk(graph(ONE, backoff_s=0.0, attempts=attempts), stocked(sa=[1]))
    worker = desk.worker("a-1", "a", host="south")
    for turn in range(attempts):
        assert not desk.disk.letters
        assert fail_once(desk, worker).attempts == turn
    (letter,) = desk.disk.letters
    assert (letter.item_id, letter.attempts, letter.stage) == ("run-1:s->a:1:0", attempts, "a")
    assert (letter.host, letter.error, letter.traceback) == ("south", "ValueError: no", "Traceback")
    assert worker.claim() is None
    assert not desk.disk.ranges
    assert desk.broker.state.stages["a"].dead == 1


def test_a_final_failure_is_a_dead_letter_at_once() -> None:
    desk = eager(attempts=9)
    worker = desk.worker("a-1", "a")
    lease = worker.claim(1)
    worker.settle(failed=[failure(lease, 0, final=True)])
    desk.commit()
    assert len(desk.disk.letters) == 1


def test_a_poison_item_is_a_dead_letter_after_exactly_its_attempts_in_deaths() -> None:
    desk = eager(attempts=3)
    deaths = 0
    while not desk.disk.letters:
        deaths += 1
        worker = desk.worker(f"a-{deaths}", "a")
        lease = worker.claim(5)
        if lease.lo == 0:  # it runs index 0 first, which kills
            desk.died(worker.name, lease.token)
        else:
            worker.settle(Done(lease.token))
        desk.commit_all()
    (letter,) = desk.disk.letters
    assert (letter.index, letter.attempts, letter.cause) == (0, 3, "signal 9")
    assert set(desk.attempts("s->a").values()) <= {0}


def test_on_failure_drop_consumes_the_item_and_keeps_no_letter() -> None:
    desk = eager(attempts=1, on_failure="drop")
    fail_once(desk, desk.worker("a-1", "a"))
    assert not desk.disk.letters
    assert desk.queued("s->a") == [(1, 1, 5)]
    assert desk.broker.state.stages["a"].dropped == 1
    assert desk.broker.state.edges["s->a"].remaining == 4


def test_on_failure_stop_pauses_the_sources_and_keeps_the_letter() -> None:
    desk = eager(attempts=1, on_failure="stop")
    source, worker = desk.worker("s-1", "s"), desk.worker("a-1", "a")
    fail_once(desk, worker)
    assert desk.effects[-1] == Stopped("a", "ValueError: no")
    assert len(desk.disk.letters) == 1
    assert source.claim() is None
    assert worker.claim() is not None  # what is queued still drains


def test_attempts_survive_a_restart() -> None:
    desk = eager(attempts=3)
    fail_once(desk, desk.worker("a-1", "a"))
    later = desk.restart()
    assert later.attempts("s->a")[0] == 1


# ---- failures of one settle


def failing(desk: Desk, worker: Seat, lease: Granted, *indexes: int) -> None:
    """Settle a whole lease of which these indexes failed."""
    good = subtract(((lease.lo, lease.hi),), tuple((i, i + 1) for i in indexes))
    failed = [failure(lease, index, item=b"item %d" % index) for index in indexes]
    worker.settle(*([Done(lease.token, good)] if good else []), failed=failed)
    desk.commit()


def test_what_fails_in_one_settle_is_retried_in_one_lease() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    failing(desk, worker, worker.claim(5), 1, 3)
    assert list(desk.disk.bodies) == [2], "the body they came with is gone"
    lease = worker.claim(5)
    assert (lease.body, lease.lo, lease.hi, lease.attempts) == (2, 0, 2, 1)
    names = [name_of(worker.data[-1], lease.body, place) for place in range(2)]
    assert names == [(1, 1), (1, 3)]
    worker.settle(Done(lease.token))
    desk.commit()
    assert desk.broker.state.edges["s->a"].settled == 5
    assert not desk.disk.bodies


def test_items_that_fail_again_and_again_keep_their_names_to_their_letters() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    failing(desk, worker, worker.claim(5), 0, 2, 4)
    failing(desk, worker, worker.claim(5), 0, 2)
    failing(desk, worker, worker.claim(5), 1)
    (letter,) = desk.disk.letters
    assert (letter.item_id, letter.attempts) == ("run-1:s->a:1:4", 3)
    assert not desk.disk.ranges


def test_several_leases_of_a_settle_share_their_retry() -> None:
    desk = Desk(graph(ONE, backoff_s=0.0), stocked(sa=[2, 2]))
    worker = desk.worker("a-1", "a")
    leases = worker.claim(2), worker.claim(2)
    worker.settle(
        *(Done(lease.token, ((0, 1),)) for lease in leases),
        failed=[failure(lease, 1, item=b"item") for lease in leases],
    )
    desk.commit()
    lease = worker.claim(8)
    assert (lease.lo, lease.hi) == (0, 2)
    assert [name_of(worker.data[-1], lease.body, place) for place in range(2)] == [(1, 1), (2, 1)]


def test_a_death_amid_retries_charges_none_of_several_and_then_the_guilty_alone() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    failing(desk, worker, worker.claim(5), 1, 3)
    desk.died("a-1", worker.claim(5).token)
    desk.commit()
    second = desk.worker("a-2", "a")
    first = second.claim(5)
    assert (first.hi - first.lo, first.suspect, first.attempts) == (1, True, 1)
    desk.died("a-2", first.token)
    desk.commit()
    assert sorted(r.attempts for r in desk.broker.state.edges["s->a"].queue) == [1, 2]


def test_a_retry_waits_and_a_restart_does_not_forget_it() -> None:
    desk = eager(backoff_s=10.0)
    worker = desk.worker("a-1", "a")
    failing(desk, worker, worker.claim(5), 1, 3)
    assert worker.claim(5) is None
    after = desk.restart()
    again = after.worker("a-2", "a")
    assert again.claim(5) is None
    after.wait(10.0)
    assert (again.heard[-1].attempts, again.heard[-1].hi) == (1, 2)


def test_a_settle_that_cannot_be_made_durable_moves_nothing() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(5)
    worker.settle(failed=[failure(lease, index, item=b"item") for index in range(5)])
    desk.commit(ok=False)
    assert desk.queued("s->a") == [(1, 0, 5)]
    assert set(desk.attempts("s->a").values()) == {0}


def test_a_large_item_rests_where_it_is() -> None:
    desk = eager()
    worker = desk.worker("a-1", "a")
    lease = worker.claim(5)
    large = failure(lease, 1, item=b"x" * (MOST_MOVED_BYTES + 1))
    worker.settle(Done(lease.token, ((0, 1), (2, 5))), failed=[large])
    desk.commit()
    assert [(r.body, r.lo, r.hi, r.attempts) for r in desk.disk.ranges["s->a", 1]] == [(1, 1, 2, 1)]
