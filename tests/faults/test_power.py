"""What was acknowledged is there after a power cut, and damage is never silent."""

from __future__ import annotations

import pytest

from tests.faults.powercut import power_cuts
from tests.faults.torn import cut_short, one_bit_flipped


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged() -> None:
    outcome = power_cuts(range(200))
    assert outcome.faults == []
    assert int(outcome.figures["steps acknowledged"]) > 1_000
    assert int(outcome.figures["kept without an answer"]) > 0, "the cuts fell between the two"


def test_a_disk_that_only_says_it_synced_is_caught() -> None:
    assert len(power_cuts(range(10), lies=True).faults) == 10


@pytest.mark.slow
def test_a_journal_cut_short_anywhere_is_a_prefix_of_its_commits() -> None:
    outcome = cut_short(1_000)
    assert outcome.faults == []
    assert int(outcome.figures["prefixes found"]) > 40


@pytest.mark.slow
def test_one_flipped_bit_is_named_or_costs_nothing() -> None:
    outcome = one_bit_flipped(300)
    assert outcome.faults == []
    assert int(outcome.figures["named in journal-wal"]) > 200
