"""Each runner at a tiny size: the totals are exact, or there is no number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.comparisons import NAP_WORKERS, PEERS
from benchmarks.measure import DICTS, NAPS, PACED, Flow, TrialError, expected_total
from benchmarks.ours import Ours, pipeline_toml
from benchmarks.peers.bare_pickle import BarePickle
from benchmarks.peers.manager import MANAGER_UNIX
from benchmarks.peers.plain_loop import PlainLoop

LOSES_ITEMS = Flow("generate", ("square", "square"), "Total")


@pytest.mark.parametrize("name", PEERS)
def test_each_peer_gives_the_exact_total(name: str) -> None:
    measured = PEERS[name].run(40)

    assert (measured.items, measured.total) == (40, expected_total(40))
    assert measured.seconds > 0
    assert measured.cpu_s >= 0  # told in ticks: so few items may take none


def test_a_paced_peer_gives_a_delay_for_each_item() -> None:
    measured = replace(MANAGER_UNIX, flow=PACED).run(30)

    assert measured.total == expected_total(30)
    assert len(measured.delays_s) == 30
    assert 0 < measured.delay_ms(50, skip=10) <= measured.delay_ms(99, skip=10)


def test_the_plain_loop_gives_the_exact_total_and_never_naps_less_than_it_says() -> None:
    measured = PlainLoop().run(5)

    assert measured.total == expected_total(5)
    assert measured.seconds >= 5 * 0.02


def test_a_wrong_total_gives_no_number() -> None:
    with pytest.raises(TrialError, match="wrong total"):
        replace(MANAGER_UNIX, flow=LOSES_ITEMS).run(10)


def test_a_failing_stage_gives_no_number(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrialError, match="exit codes"):
        replace(MANAGER_UNIX, flow=Flow("generate", ("absent",), "Total")).run(10)

    assert "absent" in capfd.readouterr().err


@pytest.mark.parametrize(
    "runner", [Ours(DICTS), BarePickle(), replace(PEERS["zmq-ipc"], flow=DICTS)]
)
def test_dicts_arrive_whole_and_their_values_add_up(runner: Ours) -> None:
    measured = runner.run(2_500)

    assert (measured.items, measured.total) == (2_500, expected_total(2_500))
    assert measured.cpu_s > 0


@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_the_runner_gives_the_exact_total(durability: str) -> None:
    measured = Ours(durability=durability).run(1_000)

    assert (measured.items, measured.total) == (1_000, expected_total(1_000))


def test_the_runner_gives_a_delay_for_each_paced_item() -> None:
    measured = Ours(PACED).run(30)

    assert measured.total == expected_total(30)
    assert len(measured.delays_s) == 30


def test_the_runner_gives_the_exact_total_over_many_sleeping_workers() -> None:
    measured = Ours(NAPS, processes={"Nap": NAP_WORKERS}).run(40)

    assert measured.total == expected_total(40)


def test_the_pipeline_file_is_a_line_of_the_flows_functions() -> None:
    text = pipeline_toml(NAPS, "memory", {"Nap": 8})

    assert text.startswith('[pipeline]\nname = "bench"\ndurability = "memory"\n')
    assert '[stages.nap]\nrun = "stages:Nap"\nprocesses = 8\n' in text
    assert text.endswith('[[edges]]\nfrom = "nap"\nto = "total"\n')
