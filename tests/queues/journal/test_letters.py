"""The file of dead letters: own items, shared facts, and what kills and flipped bits cost."""

from __future__ import annotations

import errno
import json
import os
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.queues import dead_letters as deadletters
from tests.queues.journal.steps import letter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.transaction import Letter
    from pipeline_runner.queues.dead_letters import DeadLetter

TRACEBACK = """\
Traceback (most recent call last):
  File "shop.py", line 3, in price
    raise ValueError(f"no price for {row}")
"""


def one(number: int, error: str = "ValueError: no", **facts: Any) -> Letter:
    """A letter whose item is its own number."""
    facts = {"traceback": f"{TRACEBACK}{error}\n", "item": pickle.dumps(number)} | facts
    return replace(letter(number, "a->b", number, 0), error=error, **facts)


def write(state: Path, *letters: Letter, ts: float = 5.0) -> None:
    deadletters.append(state, ts, letters)


def numbers(state: Path) -> list[int]:
    return [each.letter for each in deadletters.read(state)]


def file_of(state: Path) -> Path:
    return state / "dead" / "letters"


# ---- what is kept


texts = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.lists(st.lists(st.tuples(texts, texts, st.binary(min_size=1)), max_size=8), max_size=4))
def test_every_letter_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[tuple[str, str, bytes]]]
) -> None:
    state = tmp_path_factory.mktemp("state")
    written = []
    for group in groups:
        letters = [
            one(len(written) + place, error, traceback=trace, item=item, stage=f"stage-{place % 2}")
            for place, (error, trace, item) in enumerate(group)
        ]
        if letters:
            write(state, *letters, ts=float(len(written)))
        written += letters
    found = deadletters.read(state)
    for was, now in zip(written, found, strict=True):
        for name in ("letter", "run", "stage", "edge", "body", "index", "item_id", "attempts"):
            assert getattr(now, name) == getattr(was, name)
        for name in ("host", "pid", "release", "made_by", "cause", "error", "shown"):
            assert getattr(now, name) == getattr(was, name)
        assert now.item() == was.item
        assert now.traceback.strip() in (
            was.traceback.strip(),
            f"{was.traceback}{was.error}".strip(),
        )


def test_a_traceback_is_read_as_python_told_it(tmp_path: Path) -> None:
    several = f"{TRACEBACK}ValueError: two\nlines\n"
    qualified = f"{TRACEBACK}shop.Sold: out\n"
    write(
        tmp_path,
        one(1),
        one(2, "ValueError: two", traceback=several),
        one(3, "Sold: out", traceback=qualified),
        one(4, "died", traceback=""),
    )
    assert [each.traceback for each in deadletters.read(tmp_path)] == [
        f"{TRACEBACK}ValueError: no\n",
        several,
        qualified,
        "",
    ]


def test_an_item_that_never_had_a_pickle_has_its_text(tmp_path: Path) -> None:
    write(tmp_path, one(1, item=None, shown="<generator>"), one(2))
    without, with_it = deadletters.read(tmp_path)
    assert (without.has_item, without.shown) == (False, "<generator>")
    with pytest.raises(LookupError):
        without.payload()
    assert with_it.payload() == 2


def test_a_letter_costs_its_item_and_less_than_2_kib(tmp_path: Path) -> None:
    item = pickle.dumps({"n": 1, "name": "x" * 100})
    for number in range(200):  # each in a group of its own, as where one in a thousand fails
        write(tmp_path, one(number, f"ValueError: no price for {number}", item=item))
    each = file_of(tmp_path).stat().st_size / 200
    assert each <= len(item) + 1024


def test_letters_that_fail_together_share_what_is_the_same(tmp_path: Path) -> None:
    item = pickle.dumps({"n": 1, "name": "x" * 100})
    write(tmp_path, *(one(n, f"ValueError: no price for {n}", item=item) for n in range(512)))
    assert file_of(tmp_path).stat().st_size / 512 <= len(item)
    assert deadletters.read(tmp_path)[300].item() == item


def test_tracebacks_that_all_differ_are_cut_once_there_are_many(tmp_path: Path) -> None:
    frames = "".join(f'  File "a.py", line {n}\n    call_{n}()\n' for n in range(200))
    count = 2_000
    for start in range(0, count, 100):
        write(
            tmp_path,
            *(
                one(n, traceback=f"Traceback:\n{n}\n{frames}{os.urandom(2_000).hex()}\n")
                for n in range(start, start + 100)
            ),
        )
    assert file_of(tmp_path).stat().st_size / count <= 4_000
    last = deadletters.read(tmp_path)[-1]
    assert f"\n{count - 1}\n" in last.traceback
    assert "call_199" in last.traceback


# ---- what befalls the file


def test_letters_of_items_that_are_still_queued_are_dropped(tmp_path: Path) -> None:
    write(tmp_path, one(1), one(2), one(3))
    deadletters.keep_only(tmp_path, "run-1", {1, 3})
    assert numbers(tmp_path) == [1, 3]
    write(tmp_path, one(2))
    assert numbers(tmp_path) == [1, 3, 2]


def test_letters_of_another_run_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, one(1))
    deadletters.keep_only(tmp_path, "run-2", set())
    assert numbers(tmp_path) == [1]


def test_a_group_that_a_kill_cut_short_costs_its_own_letters_alone(tmp_path: Path) -> None:
    write(tmp_path, one(1))
    whole = file_of(tmp_path).read_bytes()
    write(tmp_path, one(2), one(3))
    both = file_of(tmp_path).read_bytes()
    for end in range(len(whole), len(both)):
        file_of(tmp_path).write_bytes(both[:end])
        assert numbers(tmp_path) == [1]
        write(tmp_path, one(4))
        assert numbers(tmp_path) == [1, 4]
        assert [each.payload() for each in deadletters.read(tmp_path)] == [1, 4]


def test_a_flipped_bit_costs_the_letters_of_one_group(tmp_path: Path) -> None:
    for start in (1, 4, 7):
        write(tmp_path, *(one(n) for n in range(start, start + 3)))
    sound = file_of(tmp_path).read_bytes()
    for place in range(0, len(sound), 7):
        data = bytearray(sound)
        data[place] ^= 0x10
        file_of(tmp_path).write_bytes(data)
        left = deadletters.read(tmp_path)
        lost = set(range(1, 10)) - {each.letter for each in left}
        assert lost in (set(), {1, 2, 3}, {4, 5, 6}, {7, 8, 9})
        damaged = [each for each in left if not _is_sound(each)]
        assert {each.letter for each in damaged} in (set(), {1, 2, 3}, {4, 5, 6}, {7, 8, 9})
        assert not (lost and damaged)


def _is_sound(each: DeadLetter) -> bool:
    try:
        return bool(each.payload() == each.letter)
    except ValueError:
        return False


def test_a_full_disk_leaves_nothing_of_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, one(1))
    before = file_of(tmp_path).read_bytes()

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write(tmp_path, one(2))
    assert file_of(tmp_path).read_bytes() == before
    write(tmp_path, one(2))
    assert numbers(tmp_path) == [1, 2]


def test_the_room_of_letters_that_went_is_given_back(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path, one(number), ts=float(number))
    before = file_of(tmp_path).stat().st_size
    deadletters.forget_letters(tmp_path, "run-1", [number for number in range(20) if number % 4])
    deadletters.sweep(tmp_path)
    assert file_of(tmp_path).stat().st_size < before / 2
    left = deadletters.read(tmp_path)
    assert [(each.letter, each.ts, each.payload()) for each in left] == [
        (n, float(n), n) for n in range(0, 20, 4)
    ]
    assert left[0].traceback == f"{TRACEBACK}ValueError: no\n"
    deadletters.forget_letters(tmp_path, "run-1", numbers(tmp_path))
    deadletters.sweep(tmp_path)
    assert not file_of(tmp_path).exists()


def test_without_letters_there_is_nothing_to_keep(tmp_path: Path) -> None:
    deadletters.keep_only(tmp_path, "run-1", {1})
    deadletters.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- what version 0.1 left


def earlier(state: Path, *numbers: int) -> None:
    """Letters as version 0.1 wrote them: all of them in one body of ten items."""
    folder = state / "dead"
    (folder / "bodies").mkdir(parents=True)
    (folder / "bodies" / "run-0-7").write_bytes(pickle.dumps([n * n for n in range(10)]))
    names = ("edge", "run", "stage", "host", "release", "cause", "error", "traceback", "shown")
    with (folder / "letters.jsonl").open("w") as log:
        for number in numbers:
            record: dict[str, Any] = {**dict.fromkeys(names, ""), "run": "run-0", "edge": "a->b"}
            record |= {"letter": number, "ts": 1.5, "body": 7, "index": number, "attempts": 3}
            record |= {"pid": 1, "item_id": f"run-0:a->b:7:{number}", "n": 10}
            log.write(json.dumps({**record, "body_file": "run-0-7"}) + "\n")


def payloads(letters: Sequence[DeadLetter]) -> list[object]:
    return [each.payload() for each in letters]


def test_what_version_0_1_left_is_read_beside_what_came_since(tmp_path: Path) -> None:
    earlier(tmp_path, 3, 4)
    write(tmp_path, one(5))
    found = deadletters.read(tmp_path)
    assert payloads(found) == [9, 16, 5]
    assert found[0].item_id == "run-0:a->b:7:3"


def test_what_version_0_1_left_can_be_dropped(tmp_path: Path) -> None:
    earlier(tmp_path, 3, 4)
    deadletters.forget_letters(tmp_path, "run-0", [3])
    deadletters.sweep(tmp_path)
    assert payloads(deadletters.read(tmp_path)) == [16]
    deadletters.forget_letters(tmp_path, "run-0", [4])
    deadletters.sweep(tmp_path)
    assert deadletters.read(tmp_path) == []
    assert list((tmp_path / "dead" / "bodies").iterdir()) == []


def test_a_letter_of_version_0_1_is_not_retried_with_its_neighbours(tmp_path: Path) -> None:
    earlier(tmp_path, 3)
    dead = deadletters.redrive(tmp_path, {3})
    assert dead.revivals == {}
    assert "an earlier version" in dead.refused[3]
