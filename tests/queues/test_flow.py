"""Fan-in, copies, gates and the end: rules 3 and 19, and what a claim may expect."""

from __future__ import annotations

from collections import deque

import pytest

from pipeline_runner.queues.broker.topology import EdgeSpec, Topology
from pipeline_runner.wire.messages import Advance, Cursor, Done, Empty, End, Granted, Settle
from tests.queues.desk import CHAIN, Desk, Seat, failure, stocked
from tests.queues.shapes import graph

# ---- fan-in, copies, tags


def test_fan_in_is_served_round_robin() -> None:
    desk = Desk(graph((("s", "a"), ("t", "a"))), stocked(sa=[3], ta=[3]))
    worker = desk.worker("a-1", "a")
    assert [worker.claim().edge for _ in range(6)] == ["s->a", "t->a"] * 3


def test_fan_in_skips_an_edge_that_has_nothing() -> None:
    desk = Desk(graph((("s", "a"), ("t", "a"))), stocked(ta=[2]))
    worker = desk.worker("a-1", "a")
    assert [worker.claim().edge for _ in range(2)] == ["t->a", "t->a"]


def test_every_edge_gets_its_own_copy_of_one_body() -> None:
    desk = Desk(graph((("s", "a"), ("s", "b"))))
    source = desk.worker("s-1", "s")
    source.emit(source.claim(), 0, 3)
    desk.commit()
    left, right = desk.worker("a-1", "a").claim(9), desk.worker("b-1", "b").claim(2)
    assert (left.body, left.lo, left.hi) == (1, 0, 3)
    assert (right.body, right.lo, right.hi) == (1, 0, 2)


def test_tagged_outputs_go_to_the_edges_they_name_and_no_other() -> None:
    desk = Desk(graph((("s", "a"), ("a", "b"), ("a", "c"))), stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    worker.settle(Done(worker.claim().token), out=[("a->b", 2), ("a->c", 1), ("a->b a->c", 1)])
    desk.commit()
    assert desk.queued("a->b") == [(2, 0, 2), (4, 0, 1)]
    assert desk.queued("a->c") == [(3, 0, 1), (4, 0, 1)]


def test_an_edge_is_first_in_first_out_for_one_consumer() -> None:
    desk = Desk(durable=stocked(sa=[3, 1, 2]))
    worker = desk.worker("a-1", "a")
    seen = []
    while (lease := worker.claim(2)) is not None:
        seen.append((lease.body, lease.lo, lease.hi))
        worker.settle(Done(lease.token))
    assert seen == [(1, 0, 2), (1, 2, 3), (2, 0, 1), (3, 0, 2)]


# ---- gates


def test_a_stage_is_gated_by_the_items_on_the_edge_behind_it() -> None:
    desk = Desk(graph(CHAIN, capacity=2), stocked(sa=[9], ab=[2]))
    worker, next_one = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    assert worker.claim() is None
    next_one.claim()
    assert worker.last(Granted).hi == 1


def test_a_settle_is_never_gated() -> None:
    desk = Desk(graph(CHAIN, capacity=2), stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    seq = worker.settle(Done(worker.claim().token), out=[("a->b", 50)])
    desk.commit()
    assert worker.ok(seq)
    assert desk.broker.state.edges["a->b"].queue.queued == 50


def test_a_claim_takes_no_more_than_the_room_behind_it() -> None:
    desk = Desk(graph(CHAIN, capacity=4), stocked(sa=[9], ab=[1]))
    assert desk.worker("a-1", "a").claim(64).hi == 3


def test_a_slow_copy_gates_the_stage_that_feeds_both() -> None:
    desk = Desk(
        graph((("s", "a"), ("a", "b"), ("a", "c")), capacity=2), stocked(sa=[1], ab=[1], ac=[2])
    )
    assert desk.worker("a-1", "a").claim() is None


def test_what_sources_may_emit_never_exceeds_the_room_they_were_promised() -> None:
    desk = Desk(graph((("s", "a"),), capacity=3))
    desk.broker.processes("s", 5)
    seats = [desk.worker(f"s-{i}", "s", i) for i in range(5)]
    granted = [lease for seat in seats if (lease := seat.claim(64)) is not None]
    edge = desk.broker.state.edges["s->a"]
    assert sum(lease.hi for lease in granted) == edge.promised == 3
    assert edge.room == 0


def test_leave_that_a_source_did_not_use_opens_room_for_its_siblings() -> None:
    desk = Desk(graph((("s", "a"),), capacity=1))
    desk.broker.processes("s", 2)
    first, second = desk.worker("s-1", "s", 0), desk.worker("s-2", "s", 1)
    lease = first.claim()
    assert second.claim() is None
    first.settle(Done(lease.token), advance=Advance(0, Cursor(1, 0)))
    desk.commit()
    assert second.last(Granted).hi == 1


@pytest.mark.parametrize("capacity", [1, 60, 500, 20_000])
def test_an_edge_bound_in_bytes_gates_and_never_closes_for_good(capacity: int) -> None:
    topology = Topology(
        graph((("s", "a"),)).stages, {"s->a": EdgeSpec("s->a", "s", "a", None, capacity)}
    )
    desk = Desk(topology)
    source, worker = desk.worker("s-1", "s"), desk.worker("a-1", "a")
    edge = desk.broker.state.edges["s->a"]
    most, used = 0.0, 0
    source.claim(64)
    for step in range(60):
        if used < len(source.all(Granted)):
            lease = source.all(Granted)[used]
            used += 1
            source.emit(lease, source.cursor_seq, lease.hi)  # ten bytes an item
            desk.commit()
            most = max(most, edge.bytes)
            source.claim(64)
        else:  # an edge that is empty has room for one item, whatever its size
            assert edge.queue.queued
        while edge.queue.queued and step % 3 == 0:
            worker.settle(Done(worker.claim(64).token))
            desk.commit()
    assert edge.published >= 20
    assert most <= max(capacity, 10)


def test_bytes_on_an_edge_follow_claims_and_returns() -> None:
    desk = Desk(durable=stocked(sa=[4]))
    edge = desk.broker.state.edges["s->a"]
    worker = desk.worker("a-1", "a")
    lease = worker.claim(3)
    assert edge.bytes == pytest.approx(10)
    worker.give_back(lease.token, ((0, 2),))
    assert edge.bytes == pytest.approx(30)


def run_crawler(topology: Topology, back: str, *, pages: int, links: int) -> int:
    """Crawl: each of the first ``pages`` items emits ``links`` more; return how many were run."""
    desk = Desk(topology)
    stages = list(topology.stages)
    seats = {name: desk.worker(f"{name}-1", name) for name in stages}
    run = 0
    source = seats[stages[0]]
    lease = source.claim()
    source.emit(lease, 0, 1, finished=True)
    desk.commit_all()
    ready = deque(stages[1:])
    idle = 0
    while idle <= len(stages):
        name = ready[0]
        ready.rotate(-1)
        got = seats[name].claim(64)
        if got is None or isinstance(got, End):
            idle += 1
            continue
        idle = 0
        for index in range(got.lo, got.hi):
            out = []
            outputs = topology.stages[name].outputs
            if back in outputs:
                run += 1
                out += [(back, links)] if run <= pages else []
            out += [(edge, 1) for edge in outputs if edge != back]
            seats[name].settle(Done(got.token, ((index, index + 1),)), out=out)
            desk.commit_all()
    ended = [name for name, seat in seats.items() if isinstance(seat.claim(), End)]
    assert ended == stages
    assert not desk.disk.ranges
    return run


def test_a_cycle_of_capacity_three_that_emits_fifty_each_drains_and_ends() -> None:
    topology = graph((("s", "a"), ("a", "a")), capacity=3)
    assert run_crawler(topology, "a->a", pages=100, links=50) == 1 + 100 * 50


def test_a_cycle_of_two_stages_with_an_exit_drains_and_ends() -> None:
    topology = graph((("s", "a"), ("a", "b"), ("b", "a"), ("b", "c")), capacity=3)
    assert run_crawler(topology, "b->a", pages=20, links=50) == 1 + 20 * 50


def test_only_claims_that_enter_a_cycle_from_outside_are_gated() -> None:
    topology = graph((("s", "a"), ("a", "a")), capacity=3)
    desk = Desk(topology, stocked(sa=[1], aa=[9]))
    worker = desk.worker("a-1", "a")
    edges = [worker.claim().edge for _ in range(7)]
    assert edges == ["a->a"] * 7  # the entry opens when two of three are left
    assert worker.claim().edge == "s->a"


def test_a_cycles_entry_is_gated_by_the_sum_of_its_capacities() -> None:
    topology = graph((("s", "a"), ("a", "b"), ("b", "a")), capacity=3)
    for queued, granted in ((5, True), (6, False)):
        desk = Desk(topology, stocked(sa=[1], ab=[queued]))
        assert (desk.worker("a-1", "a").claim() is not None) == granted


# ---- answers


def test_a_claim_with_patience_is_answered_empty_when_it_runs_out() -> None:
    desk = Desk()
    worker = desk.worker("a-1", "a")
    worker.claim(wait_s=2.0)
    assert desk.broker.wake_at == pytest.approx(1002.0)
    desk.wait(1.9)
    assert not worker.all(Empty)
    desk.wait(0.1)
    assert worker.last(Empty).seq == 1
    desk.broker.tick(desk.now)
    desk.carry_out()
    assert len(worker.all(Empty)) == 1


def test_a_claim_without_patience_waits_until_something_comes() -> None:
    desk = Desk()
    worker, source = desk.worker("a-1", "a"), desk.worker("s-1", "s")
    worker.claim()
    desk.wait(1e6)
    assert not worker.all(Empty)
    source.emit(source.claim(), 0, 1)
    desk.commit()
    assert worker.last(Granted).seq == 1


def test_a_new_claim_replaces_the_one_that_waits() -> None:
    desk = Desk()
    worker, source = desk.worker("a-1", "a"), desk.worker("s-1", "s")
    worker.claim()
    worker.claim()
    source.emit(source.claim(), 0, 2)
    desk.commit()
    assert [grant.seq for grant in worker.all(Granted)] == [2]


def test_a_paused_stage_is_granted_nothing_until_it_is_resumed() -> None:
    desk = Desk(durable=stocked(sa=[2]))
    source, worker = desk.worker("s-1", "s"), desk.worker("a-1", "a")
    desk.broker.pause("the disk is full", desk.now)
    assert source.claim() is None
    assert worker.claim() is not None
    desk.broker.pause("", desk.now)
    desk.carry_out()
    assert source.last(Granted).hi == 1


# ---- the end


def finish(desk: Desk, seat: Seat) -> None:
    seat.emit(seat.claim(), 0, 0, finished=True)
    desk.commit()


@pytest.mark.parametrize(
    "links",
    [
        (("s", "a"),),
        (("s", "a"), ("a", "b"), ("b", "c")),
        (("s", "a"), ("t", "a")),
        (("s", "a"), ("s", "b")),
        (("s", "a"), ("s", "b"), ("a", "c"), ("b", "c")),
        (("s", "a"), ("a", "a")),
        (("s", "a"), ("a", "b"), ("b", "a"), ("b", "c")),
    ],
)
def test_an_empty_run_ends_everywhere_once_every_source_is_through(
    links: tuple[tuple[str, str], ...],
) -> None:
    desk = Desk(graph(links))
    sources = [name for name, spec in desk.topology.stages.items() if spec.is_source]
    others = [name for name in desk.topology.stages if name not in sources]
    seats = {name: desk.worker(f"{name}-1", name) for name in others}
    for seat in seats.values():
        seat.claim()
    for name in sources:
        assert not any(seat.all(End) for seat in seats.values())
        finish(desk, desk.worker(f"{name}-1", name))
    assert all(len(seat.all(End)) == 1 for seat in seats.values())
    assert sorted(effect.stage for effect in desk.effects) == sorted(  # type: ignore[union-attr]
        desk.topology.stages
    )


def test_a_stage_ends_only_after_its_upstream_and_its_own_items() -> None:
    desk = Desk(durable=stocked(sa=[1]))
    worker, next_one = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    finish(desk, desk.worker("s-1", "s"))
    next_one.claim()
    worker.settle(Done(worker.claim().token), out=[("a->b", 1)])
    desk.commit()
    assert isinstance(worker.claim(), End)
    assert not next_one.all(End)
    next_one.settle(Done(next_one.last(Granted).token))
    desk.commit()
    assert isinstance(next_one.claim(), End)


def test_a_stage_ends_when_its_last_item_is_a_dead_letter() -> None:
    desk = Desk(graph((("s", "a"),), attempts=1), stocked(sa=[1]))
    worker = desk.worker("a-1", "a")
    finish(desk, desk.worker("s-1", "s"))
    lease = worker.claim()
    worker.settle(failed=[failure(lease, 0)])
    desk.commit()
    assert isinstance(worker.claim(), End)


def test_a_cycle_does_not_end_while_one_of_its_items_is_in_hand() -> None:
    desk = Desk(graph((("s", "a"), ("a", "b"), ("b", "a"))), stocked(ba=[1]))
    first, second = desk.worker("a-1", "a"), desk.worker("b-1", "b")
    finish(desk, desk.worker("s-1", "s"))
    second.claim()
    lease = first.claim()
    assert not second.all(End)
    first.settle(Done(lease.token))
    desk.commit()
    assert second.all(End)


def test_settle_after_the_end_changes_nothing() -> None:
    desk = Desk()
    worker = desk.worker("a-1", "a")
    finish(desk, desk.worker("s-1", "s"))
    desk.broker.settle(worker.session, Settle(99, (Done(123),)), [], desk.now)
    desk.carry_out()
    assert worker.ok(99) is False
    assert not desk.waiting
