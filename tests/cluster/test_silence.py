"""What is said when nobody answers, and when two versions have nothing in common."""

from __future__ import annotations

import pytest

from pipeline_runner.cluster.interfaces import LOCAL, Interface, Skipped
from pipeline_runner.cluster.silence import Silence, gap
from pipeline_runner.errors import ExitCode
from tests.cluster.kit import LOOPBACK

WLAN = Interface("wlan0", "192.168.1.7", "192.168.1.255")


def test_silence_names_what_was_tried_what_was_not_and_another_way() -> None:
    error = Silence(
        3.01, (WLAN, LOOPBACK), (Skipped("docker0", "nothing is connected to it"),)
    ).error()
    assert error.message == (
        "no head answered in 3 s on wlan0 192.168.1.7 (skipped docker0: nothing is connected to it)"
    )
    assert "a firewall (UDP 50000)" in error.hint
    assert "runner join HOST:50000" in error.hint
    assert error.exit_code == ExitCode.NO_HEAD


def test_a_machine_without_a_network_is_told_so() -> None:
    assert (
        "on this machine, and it has no network to ask on"
        in Silence(3, (LOOPBACK,)).error().message
    )


def test_what_keeps_the_question_at_home_is_told_with_its_cure() -> None:
    error = Silence(3, (LOOPBACK,), (Skipped("eth0", LOCAL),)).error()
    assert error.message.endswith("(skipped eth0: RUNNER_LOCAL is set)")
    assert error.hint.startswith("without RUNNER_LOCAL in the environment it asks on the network")


def test_a_long_list_of_interfaces_is_cut() -> None:
    many = tuple(Skipped(f"veth{n}", "down") for n in range(60))
    assert Silence(3, (WLAN,), many).error().message.endswith("veth3: down and 56 more)")


def test_what_heads_and_forgers_sent_instead_is_told() -> None:
    error = Silence(3, (WLAN,), (), ("10.0.0.9",), ("it is ending (10.0.0.5)",)).error()
    assert "a head said: it is ending (10.0.0.5)" in error.message
    assert "wrong signature came from 10.0.0.9" in error.message


@pytest.mark.parametrize(
    ("theirs", "ours"), [((1, 1), (1, 1)), ((1, 3), (3, 5)), ((3, 5), (1, 3)), ((1, 9), (4, 4))]
)
def test_versions_that_share_a_protocol_understand_each_other(
    theirs: tuple[int, int], ours: tuple[int, int]
) -> None:
    assert gap("thumbs", theirs, "1.0", ours, "2.0") is None


def test_a_gap_names_both_versions_and_who_is_to_be_upgraded() -> None:
    newer = gap("thumbs", (3, 5), "2.1.0", (1, 2), "0.9.0")
    older = gap("thumbs", (1, 2), "0.9.0", (3, 3), "2.1.0")
    assert newer is not None
    assert older is not None
    assert newer.exit_code == ExitCode.REFUSED
    assert newer.message == (
        "thumbs speaks protocol 3 to 5 (version 2.1.0), this machine 1 to 2 (version 0.9.0)"
    )
    assert newer.hint == "upgrade this machine: pip install clusterer==2.1.0"
    assert older.hint == "upgrade the head: pip install clusterer==2.1.0"
