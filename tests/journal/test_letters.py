"""Dead letters that a killed head had written, and whose items were never given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.queues import deadletters
from tests.journal.steps import letter

if TYPE_CHECKING:
    from pathlib import Path


def numbers(state: Path) -> list[int]:
    return [one.letter for one in deadletters.read(state)]


def test_letters_of_items_that_are_still_queued_are_dropped(tmp_path: Path) -> None:
    deadletters.append(tmp_path, 0.0, [letter(n, "a->b", n, 0) for n in (1, 2, 3)])
    deadletters.keep_only(tmp_path, "run-1", {1, 3})
    assert numbers(tmp_path) == [1, 3]
    deadletters.append(tmp_path, 0.0, [letter(2, "a->b", 9, 0)])
    assert numbers(tmp_path) == [1, 3, 2]


def test_letters_of_another_run_are_left_alone(tmp_path: Path) -> None:
    deadletters.append(tmp_path, 0.0, [letter(1, "a->b", 1, 0)])
    deadletters.keep_only(tmp_path, "run-2", set())
    assert numbers(tmp_path) == [1]


def test_a_line_that_was_cut_short_goes_before_another_is_added_to_it(tmp_path: Path) -> None:
    deadletters.append(tmp_path, 0.0, [letter(n, "a->b", n, 0) for n in (1, 2)])
    log = tmp_path / "dead" / "letters.jsonl"
    log.write_text(log.read_text()[:-20])
    deadletters.keep_only(tmp_path, "run-1", {1})
    deadletters.append(tmp_path, 0.0, [letter(2, "a->b", 2, 0)])
    assert numbers(tmp_path) == [1, 2]


def test_without_letters_there_is_nothing_to_keep(tmp_path: Path) -> None:
    deadletters.keep_only(tmp_path, "run-1", {1})
    assert list(tmp_path.iterdir()) == []
