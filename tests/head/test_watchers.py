"""Who watches a run: nobody who is slow holds anybody up, and he is told what he missed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline_runner.errors import ExitCode
from pipeline_runner.events import Printed, StageFinished, WorkerStarted
from pipeline_runner.head.control.subscribers import Subscribers
from pipeline_runner.observe.screen import Blank
from tests.observe.feed import run


@dataclass(eq=False)
class Peer:
    behind: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)


class Server:
    def send(self, connection: Peer, message: Any, data: bytes | None = None) -> None:
        connection.told.append(message.result)


def printed(number: int) -> Printed:
    return Printed(1.0, "desk", "say", 0, 42, "stdout", f"line {number}")


def watched(*peers: Peer) -> Subscribers:
    watchers = Subscribers(Blank(), Server())  # type: ignore[arg-type]
    for peer in peers:
        watchers.add(peer, {"name": "p"})  # type: ignore[arg-type]
        assert peer.told.pop() == {"name": "p"}
    return watchers


def test_everybody_who_attached_is_told_every_event() -> None:
    one, two = Peer(), Peer()
    watchers = watched(one, two)
    watchers.event(StageFinished(1.0, "say"))
    expected = {"event": "StageFinished", "fields": {"ts": 1.0, "stage": "say"}}
    assert one.told == two.told == [expected]


def test_one_that_comes_later_is_told_the_last_fifty_events_first() -> None:
    watchers = watched()
    for number in range(60):
        watchers.event(printed(number))
    late = Peer()
    watchers.add(late, {"name": "p"})  # type: ignore[arg-type]
    watchers.event(printed(60))
    facts, notice, *lines = late.told
    assert facts == {"name": "p"}
    assert notice["fields"]["text"] == "the last 50 events so far:"
    assert [line["fields"]["text"] for line in lines] == [f"line {n}" for n in range(10, 61)]


def test_events_that_only_a_verbose_screen_shows_are_not_announced() -> None:
    watchers = watched()
    watchers.event(WorkerStarted(1.0, "desk", "say", 0, 4001))
    late = Peer()
    watchers.add(late, {"name": "p"})  # type: ignore[arg-type]
    assert [told["event"] for told in late.told[1:]] == ["WorkerStarted"]
    watchers.event(printed(1))
    later = Peer()
    watchers.add(later, {"name": "p"})  # type: ignore[arg-type]
    assert later.told[1]["fields"]["text"] == "the last event so far:"


def test_one_that_is_behind_misses_lines_and_is_told_how_many() -> None:
    slow, quick = Peer(), Peer()
    watchers = watched(slow, quick)
    slow.behind = 10_000
    for number in range(7):
        watchers.event(printed(number))
    assert slow.told == []
    assert len(quick.told) == 7
    slow.behind = 0
    watchers.event(printed(7))
    notice, line = slow.told
    assert notice["fields"]["text"] == "7 lines were printed too fast to be shown here"
    assert line["fields"]["text"] == "line 7"


def test_a_snapshot_goes_only_to_whoever_has_read_the_last_one() -> None:
    slow, quick = Peer(behind=1), Peer()
    watchers = watched(slow, quick)
    watchers.snapshot(run())
    assert slow.told == []
    assert quick.told == [{"snapshot": run().as_json()}]


def test_the_end_is_told_to_all_but_those_who_left() -> None:
    gone, slow = Peer(), Peer(behind=10_000)
    watchers = watched(gone, slow)
    watchers.remove(gone)  # type: ignore[arg-type]
    watchers.ended(run(state="stopped"), 0, 3, ExitCode.OK)
    assert gone.told == []
    assert [slow.told[0][name] for name in ("lost", "kept", "exit_code")] == [0, 3, 0]
