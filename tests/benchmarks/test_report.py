"""The report: rounds in turns, a page from what was kept, and what is tried again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks import report
from benchmarks.families import FAMILIES, Family
from benchmarks.measure import INTS, Flow, Measured, TrialError, expected_total
from benchmarks.page import page
from benchmarks.rounds import KINDS, against, fitting

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@dataclass(frozen=True)
class Steady:
    """A runner of ``rate`` items a second that notes its runs."""

    name: str
    rate: float
    batch: int = 1
    flow: Flow = INTS
    fails_from: int = 1 << 60
    log: list[str] = field(default_factory=list)

    def run(self, n: int) -> Measured:
        self.log.append(self.name)
        if n >= self.fails_from:
            raise TrialError("wrong total")
        delays = tuple(1e-3 for _ in range(n)) if "tick" in self.flow.source else ()
        return Measured(n, n / self.rate, 0.5, expected_total(n), delays, 7_000_000)


def facts(cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "date": "2020-02-02",
        "machine": "a machine",
        "runner": "pipeline_runner 0",
        "pairs": 3,
        "versions": {"redis": "9"},
        "cells": cells,
    }


def test_a_run_is_sized_to_the_seconds_asked_for() -> None:
    assert fitting(Steady("a", rate=100_000), KINDS["ints"], seconds=0.8) == 80_000


def test_a_slow_peers_first_warm_up_is_a_twentieth_of_what_keeps_it_busy() -> None:
    asked: list[int] = []

    class Slow(Steady):
        items = 400

        def run(self, n: int) -> Measured:
            asked.append(n)
            return super().run(n)

    assert fitting(Slow("slow", rate=200), KINDS["ints"], seconds=0.8) == 160
    assert asked[0] == 20
    assert asked[-1] <= 200


def test_a_run_of_large_blobs_never_holds_more_than_a_gibibyte() -> None:
    assert fitting(Steady("a", rate=1e9), KINDS["1 MiB"], seconds=0.8) == 1_024


def test_every_second_round_goes_backwards() -> None:
    log: list[str] = []
    ours, peer = Steady("ours", 1e4, log=log), Steady("peer", 1e4, log=log)

    against(ours, [peer], KINDS["ints"], pairs=3, seconds=0.5)

    assert log[-6:] == ["ours", "peer", "peer", "ours", "ours", "peer"]


def test_no_round_follows_the_first_when_the_time_is_over() -> None:
    (cell,) = against(
        Steady("ours", 1e4), [Steady("peer", 1e4)], KINDS["ints"], 3, 0.5, in_time=lambda: False
    )

    assert len(cell["ours"]) == len(cell["theirs"]) == 1


def test_a_peer_that_fails_leaves_the_others_their_numbers() -> None:
    peers = [Steady("broken", 1e4, fails_from=1), Steady("peer", 2e4)]

    broken, sound = against(Steady("ours", 1e4), peers, KINDS["ints"], pairs=2, seconds=0.5)

    assert broken["failed"] == "TrialError: wrong total"
    assert sound["failed"] is None
    assert len(sound["ours"]) == len(sound["theirs"]) == 2


def test_lists_are_measured_of_ints_only() -> None:
    peers = [Steady("redis-lists", 1e4), Steady("redis-lists-lists", 1e4, batch=1_000)]

    measured = {
        kind: [cell["peer"] for cell in against(Steady("ours", 1e4), peers, KINDS[kind], 1, 0.5)]
        for kind in ("ints", "1 KiB")
    }

    assert measured == {
        "ints": ["redis-lists", "redis-lists-lists"],
        "1 KiB": ["redis-lists"],
    }


def test_the_page_has_the_ratio_of_each_pair_and_the_reason_of_each_gap() -> None:
    ours = Steady("ours", 30_000)
    peers = [Steady("redis-streams", 10_000), Steady("broken", 1e4, fails_from=1)]
    cells = [
        cell
        for kind in ("ints", "64 KiB", "paced")
        for cell in against(ours, peers, KINDS[kind], pairs=3, seconds=0.5)
    ]

    text = page({"families": {"redis": facts(cells), "ray": {"skipped": "not installed here"}}})

    assert "| redis-streams | 30,000 | 10,000 | **3.00** (3.00-3.00; 3) |" in text
    assert "| redis-streams | 1,966 | 655 | **3.00** (3.00-3.00; 3) |" in text  # MB/s
    assert "| redis-streams | 1.00 | 1.00 | 1.00 | 1.00 | **1.00** (1.00-1.00; 3) |" in text
    assert "- ray: not installed here" in text
    assert "- broken, ints: TrialError: wrong total" in text
    assert "a machine; pipeline_runner 0; up to 3 rounds: redis (2020-02-02)" in text
    assert "stays pending" in text
    assert "Celery" not in text.split("## No number")[0]


def test_every_promised_peer_is_one_of_its_family() -> None:
    light = [family for family in FAMILIES.values() if family.name == "local"]

    for family in light:
        with family.open(None) as peers:  # type: ignore[arg-type]
            assert set(family.promises) <= {peer.name for peer in peers}


def test_what_is_kept_is_not_measured_again_and_what_is_missing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.json"
    ours, peers = Steady("ours", 1e4), [Steady("zmq-ipc", 1e4)]
    cells = [cell for kind in KINDS.values() for cell in against(ours, peers, kind, 1, 0.5)]
    before = json.loads(json.dumps(facts(cells)))
    kept.write_text(json.dumps({"families": {"local": before}}))
    absent = Family("absent", "absent", {}, imports=("no_such_module",))
    monkeypatch.setitem(FAMILIES, "absent", absent)
    asked = ["--json", str(kept), "--page", str(tmp_path / "page.md"), "--only", "local", "absent"]

    assert report.main(asked) == 0

    families = json.loads(kept.read_text())["families"]
    assert families["local"] == before
    assert families["absent"] == {"skipped": "not installed here: the module no_such_module"}
    assert "the module no_such_module" in (tmp_path / "page.md").read_text()


def test_a_family_that_gives_no_numbers_fails_the_command_and_is_told_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "broken", Family("broken", "no_such_module", {}))
    page_file = tmp_path / "page.md"

    code = report.main(
        ["--json", str(tmp_path / "k.json"), "--page", str(page_file), "--only", "broken"]
    )

    assert code == 1
    assert "- broken: ended with" in page_file.read_text()


def test_what_a_family_measured_before_it_was_given_up_on_is_kept() -> None:
    hangs = ["sh", "-c", """echo '{"cells": [1]}'; exec sleep 600"""]

    lines, fault = report._run(hangs, Family("hangs", "hangs", {}), limit_s=2.0)

    assert lines == [{"cells": [1]}]
    assert fault == "given up on after 2 s"


def test_a_family_that_was_given_up_on_is_measured_again() -> None:
    kept = {"families": {"ray": {**facts([]), "skipped": "given up on after 2 s"}}}

    assert not report._has_cells(kept, "ray", [])


def test_a_family_with_a_peer_that_failed_is_measured_again() -> None:
    peers = [Steady("broken", 1e4, fails_from=1)]
    cells = against(Steady("ours", 1e4), peers, KINDS["ints"], pairs=1, seconds=0.5)

    assert not report._has_cells({"families": {"redis": facts(cells)}}, "redis", ["ints"])
    assert report._has_cells({"families": {"redis": facts([])}}, "redis", [])


def test_a_family_that_lacks_a_kind_is_measured_again() -> None:
    ours, peers = Steady("ours", 1e4), [Steady("redis-lists", 1e4)]
    kept = {"families": {"redis": facts(against(ours, peers, KINDS["ints"], 1, 0.5))}}
    assert report._has_cells(kept, "redis", ["ints"])
    assert not report._has_cells(kept, "redis", ["ints", "dicts"])
