"""Where an agent looks for its head, and how patiently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.agent.discovery import reconnect as seeking
from pipeline_runner.agent.discovery.reconnect import AtSocket, OnNetwork, Route
from pipeline_runner.agent.notices import told, waits_after
from pipeline_runner.cluster.identity import Identity
from pipeline_runner.cluster.search import Found
from pipeline_runner.errors import NoHead, Refused
from pipeline_runner.wire.control_messages import Desired
from pipeline_runner.wire.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

ME = Identity("thumbs", b"0" * 32)
KEY = ME.door_key.hex()
BEFORE = Endpoint(host="10.0.0.5", port=50000, key=KEY)
MOVED = Endpoint(host="10.0.0.9", port=50001, fingerprint="ab" * 32, key=KEY)


def found(door: Endpoint) -> Found:
    return Found(
        ME,
        "head",
        "thumbs",
        door.host,
        door.port,
        door.fingerprint,
        (1, 1),
        "0",
        1,
        "",
        "desk",
        0.1,
    )


class Heads:
    """Doors that open, and those that do not, by the error they end in."""

    def __init__(self, patch: pytest.MonkeyPatch, doors: Mapping[str, Exception | None]) -> None:
        self.tried: list[str] = []
        self._doors = doors
        patch.setattr(seeking, "open_wire", self._open)

    def _open(self, door: Endpoint, _timeout_s: float | None = None) -> object:
        self.tried.append(door.host)
        error = self._doors.get(door.host, NoHead(f"nobody at {door}"))
        if error is not None:
            raise error
        return self


def looking(*answers: Endpoint, asks: bool = True) -> OnNetwork:
    seeker = OnNetwork([ME], "thumbs", BEFORE, asks=asks)
    seeker._find = lambda *_who, **_how: [found(door) for door in answers]
    return seeker


def test_the_door_that_is_known_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = Heads(monkeypatch, {BEFORE.host: None})
    assert looking(MOVED).seek() == Route(heads, BEFORE)  # type: ignore[arg-type]
    assert heads.tried == [BEFORE.host]


@pytest.mark.parametrize("error", [NoHead("nobody"), Refused("another pipeline's head")])
def test_a_head_that_has_moved_is_found_by_its_answer_and_stays_known(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    heads = Heads(monkeypatch, {BEFORE.host: error, MOVED.host: None})
    seeker = looking(MOVED)
    assert seeker.seek().door == MOVED
    assert seeker.seek().door == MOVED
    assert heads.tried == [BEFORE.host, MOVED.host, MOVED.host]


def test_where_nobody_answers_the_first_error_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    Heads(monkeypatch, {BEFORE.host: Refused("another key")})
    with pytest.raises(Refused, match="another key"):
        looking().seek()


def test_who_was_given_an_address_does_not_ask_around(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = Heads(monkeypatch, {MOVED.host: None})
    with pytest.raises(NoHead):
        looking(MOVED, asks=False).seek()
    assert heads.tried == [BEFORE.host]


def test_a_host_waits_ever_longer_but_never_long_and_for_as_long_as_it_takes() -> None:
    seeker = looking()
    assert seeker.pause_s(0) <= 0.2
    assert all(0.1 <= seeker.pause_s(tries) <= 2.0 for tries in (5, 50, 5_000, 5_000_000))
    assert all(AtSocket(Endpoint(socket="/s")).pause_s(tries) <= 0.2 for tries in (0, 5_000))


def desired(**more: Any) -> Desired:
    given: dict[str, Any] = {"slots": {}, "grace_s": 30.0, "specs": {}}
    return Desired(1, "", **(given | more))


def test_a_host_says_what_it_does_or_why_nothing_once_that_is_known() -> None:
    assert told(desired(slots={"work": (2, 3), "list": (0,), "keep": ()})) == "list x1, work x2"
    assert told(desired(unfit=None)) is None
    assert told(desired(unfit=("it has Python 3.9", "no numpy"))) == (
        "none: it has Python 3.9; no numpy"
    )
    assert "runner why" in str(told(desired()))
    assert waits_after("stopped") == "the run was stopped: waits for the next one"
