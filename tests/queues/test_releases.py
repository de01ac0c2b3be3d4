"""Items that a worker cannot decode because another release made them: rule 64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.wire.messages import Done
from tests.queues.desk import Desk, failure
from tests.queues.shapes import graph

if TYPE_CHECKING:
    from pipeline_runner.wire.messages import Granted
    from tests.queues.desk import Seat

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def made(n: int = 3) -> Desk:
    """A desk with a body that a worker of the old release made; the new one is to run."""
    desk = Desk(graph((("s", "a"),), attempts=3, backoff_s=0.0))
    source = desk.worker("s-1", "s", release=OLD)
    for number in range(n):
        source.emit(source.claim(), number, 1)
        desk.commit()
    desk.releases(NEW)
    return desk


def cannot_read(worker: Seat, lease: Granted) -> None:
    worker.settle(failed=[failure(lease, lease.lo, cause="undecodable")])
    worker.desk.commit_all()


def test_with_nobody_left_who_could_read_it_it_is_a_dead_letter_that_names_both_releases() -> None:
    desk = made(1)
    worker = desk.worker("a-1", "a", release=NEW)
    cannot_read(worker, worker.claim())
    (letter,) = desk.disk.letters
    assert (letter.made_by, letter.release, letter.attempts) == (OLD, NEW, 1)
    assert "release 0123456789ab made it, release fedcba987654 cannot read it" in letter.error
    assert not desk.disk.ranges


def test_it_goes_back_uncharged_to_a_worker_of_another_release_and_never_to_the_same() -> None:
    desk = made(1)
    older = desk.worker("a-1", "a", release=OLD)
    newer = desk.worker("a-2", "a", release=NEW)
    cannot_read(newer, newer.claim())
    assert desk.disk.letters == []
    assert newer.claim() is None
    lease = older.claim()
    assert (lease.attempts, lease.suspect) == (0, False)
    older.settle(Done(lease.token))
    desk.commit()
    assert desk.broker.state.stages["a"].failed == 0
    assert not desk.disk.ranges


def test_what_two_releases_could_not_read_remembers_both() -> None:
    desk = made(1)
    third = desk.worker("a-3", "a", release="third")
    older = desk.worker("a-1", "a", release="older")
    newer = desk.worker("a-2", "a", release=NEW)
    cannot_read(newer, newer.claim())
    cannot_read(older, older.claim())
    assert newer.claim() is None
    cannot_read(third, third.claim())
    (letter,) = desk.disk.letters
    assert letter.release == "third"


def test_it_waits_while_a_slot_names_a_release_that_may_read_it() -> None:
    desk = made(1)
    desk.releases(NEW, OLD)
    worker = desk.worker("a-1", "a", release=NEW)
    cannot_read(worker, worker.claim())
    assert (desk.disk.letters, worker.claim()) == ([], None)
    desk.releases(NEW)  # that slot was turned: whoever claims now has it, and fails for good
    lease = worker.heard[-1]
    cannot_read(worker, lease)
    assert len(desk.disk.letters) == 1


def test_it_waits_for_a_host_that_is_cut_off_and_no_longer_than_that() -> None:
    desk = made(1)
    desk.releases(NEW, cut=True)
    worker = desk.worker("a-1", "a", release=NEW)
    cannot_read(worker, worker.claim())
    assert (desk.disk.letters, worker.claim()) == ([], None)
    assert desk.broker.state.edges["s->a"].queue.queued == 1
    desk.releases(NEW, cut=False)
    cannot_read(worker, worker.heard[-1])
    assert len(desk.disk.letters) == 1


def test_when_the_last_worker_that_could_read_it_dies_it_is_offered_to_the_rest() -> None:
    desk = made(1)
    desk.worker("a-1", "a", release=OLD)
    newer = desk.worker("a-2", "a", release=NEW)
    cannot_read(newer, newer.claim())
    assert newer.claim() is None
    desk.died("a-1")
    cannot_read(newer, newer.heard[-1])
    assert len(desk.disk.letters) == 1


def test_an_item_of_the_same_release_is_charged_as_ever() -> None:
    desk = made(1)
    worker = desk.worker("a-1", "a", release=OLD)
    for _ in range(3):
        cannot_read(worker, worker.claim())
    (letter,) = desk.disk.letters
    assert (letter.attempts, "made it" in letter.error) == (3, False)


def test_a_restart_forgets_who_could_not_read_it_and_loses_nothing() -> None:
    desk = made(2)
    desk.worker("a-1", "a", release=OLD)
    newer = desk.worker("a-2", "a", release=NEW)
    cannot_read(newer, newer.claim())
    after = desk.restart()
    after.releases(NEW)
    worker = after.worker("a-3", "a", release=NEW)
    for _ in range(2):
        cannot_read(worker, worker.claim())
    assert len(after.disk.letters) == 2
