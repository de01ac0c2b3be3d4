"""The command: what it refuses, and that a missed bar or a failed run shows in its exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks import speed
from benchmarks.comparisons import Comparison, Reading
from benchmarks.measure import Measured, TrialError
from benchmarks.table import Bar

if TYPE_CHECKING:
    from pathlib import Path


class Steady:
    """A runner that always takes ``seconds``."""

    name = "steady"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self, n: int) -> Measured:
        return Measured(n, self.seconds, cpu_s=1.0, total=n)


class Broken:
    """A runner that loses an item."""

    name = "broken"

    def run(self, n: int) -> Measured:
        raise TrialError(f"wrong total: {n - 1} of {n}")


def against(peer: Steady | Broken) -> Comparison:
    reading = Reading("ints", "items/s", lambda run: run.rate, Bar(1.0))
    return Comparison(Steady(1.0), peer, (10, 10), (reading,))


@pytest.mark.parametrize(("peer_seconds", "code"), [(2.0, 0), (0.5, 1)])
def test_the_exit_code_says_whether_every_bar_is_reached(
    peer_seconds: float, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "_comparisons", lambda _asked: [against(Steady(peer_seconds))])

    assert speed.main(["--pairs", "2"]) == code


def test_a_failed_run_leaves_no_row_and_the_others_stand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comparisons = [against(Broken()), against(Steady(2.0))]
    monkeypatch.setattr(speed, "_comparisons", lambda _asked: comparisons)

    assert speed.main(["--pairs", "1", "--json", str(tmp_path / "kept.json")]) == 1

    kept = json.loads((tmp_path / "kept.json").read_text())
    assert [row["peer"] for row in kept["rows"]] == ["steady"]
    assert kept["failed"] == ["broken: wrong total: 0 of 1"]
    assert "no number against broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--only", "int"], ["--peers", "zmq"], ["--pairs", "0"], ["--items", "many"]]
)
def test_a_wrong_argument_is_refused_before_anything_runs(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        speed.main(arguments)

    assert refused.value.code == 2
    assert arguments[0] in capsys.readouterr().err
