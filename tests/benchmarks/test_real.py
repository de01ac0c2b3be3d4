"""Whole jobs at a tiny size: everybody comes to the same, and what does not is no number."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from benchmarks.measure import TrialError
from benchmarks.page import page
from benchmarks.real import __main__ as real
from benchmarks.real.table import rows
from benchmarks.real.trials import JOBS, PEERS, Whole, run_ours, run_peer

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.real.trials import Job, Peer

SIZES = {"wordcount": 4, "thumbnails": 2, "naps": 16, "dicts": 300}
SMALL = [replace(JOBS[name], size=size) for name, size in SIZES.items()]
LIGHT = ("plain", "pool", "futures", "joblib", "mpire")  # the others start a cluster


@pytest.mark.parametrize("job", SMALL, ids=SIZES)
def test_ours_comes_to_what_a_plain_loop_comes_to(job: Job) -> None:
    if job.name == "thumbnails":
        pytest.importorskip("PIL")
    plain, ours = run_peer(PEERS["plain"], job), run_ours(job, "memory")
    assert ours.result == plain.result
    assert 0 < plain.result["count"] <= 2 * job.size
    assert ours.seconds > 0
    assert ours.cpu_s > plain.cpu_s > 0


@pytest.mark.parametrize("name", LIGHT[1:])
def test_each_peer_comes_to_what_a_plain_loop_comes_to(name: str) -> None:
    if missing := PEERS[name].missing():
        pytest.skip(f"without {missing}")
    for job in (SMALL[0], SMALL[3]):
        assert run_peer(PEERS[name], job).result == run_peer(PEERS["plain"], job).result


def test_a_peer_that_ends_badly_gives_no_number_but_its_words() -> None:
    with pytest.raises(TrialError, match="no_such_job_sink"):
        run_peer(PEERS["plain"], replace(SMALL[0], name="no_such_job"))


def test_what_is_not_installed_is_said() -> None:
    assert replace(PEERS["dask"], needs="no_such_module").missing() == "the module no_such_module"
    assert PEERS["plain"].missing() == ""
    assert bool(PEERS["joblib"].missing()) == (find_spec("joblib") is None)


def cell(peer: str, failed: str | None = None) -> dict[str, object]:
    ours = [{"seconds": seconds, "cpu_s": 2.0} for seconds in (1.0, 3.0, 2.0)]
    theirs = [{"seconds": seconds, "cpu_s": 1.0} for seconds in (2.0, 3.0, 1.0)]
    return {"peer": peer, "failed": failed, "ours": ours, "theirs": theirs}


def test_a_ratio_is_the_median_of_rounds_and_a_bar_is_for_times() -> None:
    [row] = rows([cell("pool"), cell("ray", "wrong total")], {"pool": 1.05})
    assert (row.ratio.median, row.ratio.low, row.ratio.high) == (1.0, 0.5, 2.0)
    assert not row.is_missed
    assert rows([cell("pool")], {"pool": 0.9})[0].is_missed
    assert not rows([cell("pool")], {})[0].is_missed


def test_a_run_with_another_result_fails_its_peer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def peer(this: Peer, _job: Job) -> Whole:
        order.append(this.name)
        return Whole(2.0, 1.0, {"count": 1 if this.name == "mpire" else 2})

    def ours(_job: Job, _durability: str) -> Whole:
        order.append("ours")
        return Whole(1.0, 2.0, {"count": 2})

    page_file, kept = tmp_path / "page.md", tmp_path / "measured.json"
    kept.write_text('{"families": {}}')
    monkeypatch.setattr(real, "run_peer", peer)
    monkeypatch.setattr(real, "run_ours", ours)
    monkeypatch.setattr(real, "KEPT", kept)
    monkeypatch.setattr(real, "PEERS", {n: replace(p, needs="") for n, p in PEERS.items()})
    said = real.main(
        ["--only", "dicts", "--peers", "pool", "mpire", "--rounds", "2", "--write", str(page_file)]
    )
    assert said == 1  # mpire is there and gave no number
    # A plain loop tells what is right; a round to warm up; then in turns, backwards and forwards.
    assert order == ["plain", "ours", "pool", "mpire", "pool", "ours", "ours", "pool"]
    text = page_file.read_text()
    assert "| pool | 1.00 | 2.00 | **0.50** (0.50-0.50; 2) | 2.00 | 1.00 |  |" in text
    assert "- mpire: no number, wrong total: {'count': 1}, not {'count': 2}" in text
    assert json.loads(kept.read_text())["real"]["jobs"]["dicts"]["size"] == JOBS["dicts"].size
    assert page(json.loads(kept.read_text())) == text
