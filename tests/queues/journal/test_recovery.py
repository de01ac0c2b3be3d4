"""What a head finds on disk: every prefix is consistent, and damage is named."""

from __future__ import annotations

import copy
import random
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.errors import RunnerError, UsageError
from pipeline_runner.filesystem import kind_of, refuse_network
from pipeline_runner.queues.broker.transaction import Transaction
from pipeline_runner.queues.journal.recovery import (
    Damaged,
    forget,
    mark_suspect,
    open_journal,
)
from tests.queues.durable import Durable
from tests.queues.journal.steps import body, commit, contents, facts, random_steps

if TYPE_CHECKING:
    from pathlib import Path


def filled(folder: Path, seed: int, count: int, *, close: bool = True) -> list[tuple[object, ...]]:
    """Fill a journal; return what was durable after each commit, none at first."""
    opened = open_journal(folder)
    states = [facts(Durable())]
    for step, durable in random_steps(random.Random(seed), count):
        commit(opened, step)
        states.append(copy.deepcopy(facts(durable)))
    crashed = () if close else [p for p in folder.iterdir() if not p.name.endswith("-shm")]
    left = [(path, path.read_bytes()) for path in crashed]
    opened.close()  # which moves the log into the database
    for path, data in left:
        path.write_bytes(data)
    return states


def copied(folder: Path, name: str) -> Path:
    """Copy a journal as a power cut leaves it: with its log, without its shared memory."""
    to = folder.parent / name
    to.mkdir()
    for path in folder.glob("journal*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, to / path.name)
    return to


@pytest.mark.parametrize("seed", range(20))
def test_a_journal_recovers_what_the_transactions_built(tmp_path: Path, seed: int) -> None:
    states = filled(tmp_path, seed, 80)
    opened = open_journal(tmp_path)
    assert facts(contents(opened)) == states[-1]
    assert opened.damage == []
    opened.sql.close()


def test_each_opening_is_the_next_epoch_of_the_same_run(tmp_path: Path) -> None:
    seen = []
    for _ in range(4):
        opened = open_journal(tmp_path)
        seen.append((opened.run, opened.epoch, opened.continues))
        opened.sql.close()
    run = seen[0][0]
    assert seen == [(run, 1, False), (run, 2, True), (run, 3, True), (run, 4, True)]


def test_fresh_begins_another_run(tmp_path: Path) -> None:
    filled(tmp_path, 1, 5)
    before = open_journal(tmp_path)
    before.sql.close()
    opened = open_journal(tmp_path, fresh=True)
    assert (opened.epoch, opened.continues) == (1, False)
    assert opened.run != before.run
    assert facts(contents(opened)) == facts(Durable())
    opened.sql.close()


def test_a_body_number_is_not_used_again_after_its_body_is_gone(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    made = body(random.Random(1), 7)
    commit(opened, Transaction(produced=[(("a->b",), made)]))
    commit(opened, Transaction(consumed=[("a->b", 7, ((0, made.n),))]))
    opened.sql.close()
    again = open_journal(tmp_path)
    assert contents(again).next_body == 8
    assert not contents(again).bodies
    again.sql.close()


def test_the_log_cut_anywhere_leaves_a_prefix_of_the_commits(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    states = filled(home, 3, 60, close=False)
    size = (home / "journal-wal").stat().st_size
    chance = random.Random(5)
    last = 0
    cuts = sorted(chance.sample(range(size + 1), 250))
    for number, cut in enumerate(cuts):
        crashed = copied(home, f"cut-{number}")
        with (crashed / "journal-wal").open("r+b") as log:
            log.truncate(cut)
        opened = open_journal(crashed)
        opened.sql.close()
        reached = states.index(facts(contents(opened)))
        assert opened.damage == []
        assert reached >= last
        last = reached
        shutil.rmtree(crashed)
    assert last > 50


def test_one_flipped_bit_is_named_or_harms_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    states = filled(home, 7, 60)
    data = (home / "journal").read_bytes()
    chance = random.Random(11)
    named = 0
    for number in range(300):
        crashed = copied(home, f"flip-{number}")
        place = chance.randrange(len(data))
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        (crashed / "journal").write_bytes(flipped)
        named += not intact(crashed, states[-1])
        shutil.rmtree(crashed)
    assert named > 100


def test_one_flipped_bit_in_the_log_is_named_or_harms_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    states = filled(home, 7, 60, close=False)
    data = (home / "journal-wal").read_bytes()
    chance = random.Random(11)
    named = 0
    for number in range(300):
        crashed = copied(home, f"flip-{number}")
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (crashed / "journal-wal").write_bytes(flipped)
        named += not intact(crashed, states[-1], allowed=states)
        shutil.rmtree(crashed)
    assert named > 250


def intact(
    folder: Path, whole: tuple[object, ...], allowed: list[tuple[object, ...]] | None = None
) -> bool:
    """Open a journal that was damaged; whether all was found. What was not must be named."""
    try:
        opened = open_journal(folder)
    except RunnerError as error:
        assert "journal" in error.message  # noqa: PT017
        return False
    opened.sql.close()
    found = facts(contents(opened))
    if not opened.damage:
        assert found == whole
        return True
    if allowed is not None:
        assert found in allowed
    again = open_journal(folder)  # it was written anew: the damage is told once
    again.sql.close()
    assert again.damage == []
    assert facts(contents(again)) == found
    return False


def test_an_unreadable_body_costs_its_items_and_no_others(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    chance = random.Random(1)
    one, two = body(chance, 1), body(chance, 2)
    commit(opened, Transaction(produced=[(("a->b",), one), (("a->b",), two)]))
    opened.sql.execute("UPDATE body SET data = x'00' WHERE id = 1")
    opened.sql.close()
    again = open_journal(tmp_path)
    assert again.damage == [f"lost: items a->b:1:0 to {one.n - 1}, unreadable"]
    assert contents(again).bodies == {2: two}
    assert list(contents(again).ranges) == [("a->b", 2)]
    again.sql.close()


def test_a_range_that_vanished_is_missed(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    commit(opened, Transaction(produced=[(("a->b", "b->c"), body(random.Random(1), 1))]))
    opened.sql.execute("DELETE FROM range WHERE edge = 2")
    opened.sql.close()
    with pytest.raises(Damaged, match="items where it should hold"):
        open_journal(tmp_path)


def test_a_damaged_cursor_is_not_guessed(tmp_path: Path) -> None:
    opened = open_journal(tmp_path)
    step, _durable = next(random_steps(random.Random(1), 1))
    commit(opened, step)
    opened.sql.execute("UPDATE cursor SET count = count + 1")
    opened.sql.close()
    with pytest.raises(Damaged, match="how far a is") as caught:
        open_journal(tmp_path)
    assert "--fresh" in caught.value.hint


def test_after_a_disk_error_the_journal_is_written_anew(tmp_path: Path) -> None:
    states = filled(tmp_path, 2, 40)
    before = (tmp_path / "journal").stat().st_ino
    mark_suspect(tmp_path / "journal")
    opened = open_journal(tmp_path)
    assert (tmp_path / "journal").stat().st_ino != before
    assert facts(contents(opened)) == states[-1]
    assert opened.epoch == 2
    opened.sql.close()
    assert {path.name for path in tmp_path.iterdir()} == {"journal"}


def test_another_layout_is_refused_with_what_to_do(tmp_path: Path) -> None:
    filled(tmp_path, 1, 3)
    sql = sqlite3.connect(tmp_path / "journal")
    sql.execute("PRAGMA user_version = 9")
    sql.close()
    with pytest.raises(RunnerError, match="layout 9, this version reads layout 2") as caught:
        open_journal(tmp_path)
    assert "--fresh" in caught.value.hint


def test_forgetting_leaves_no_file(tmp_path: Path) -> None:
    filled(tmp_path, 1, 3, close=False)
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


MOUNTS = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:40 / /home/shared\\040files rw shared:1 - nfs4 server:/x rw
31 30 0:41 / /home/shared\\040files/local rw - tmpfs tmpfs rw
32 22 0:42 / /mnt rw - fuse.sshfs me@there: rw
"""


def test_a_network_file_system_is_refused_by_name(tmp_path: Path) -> None:
    mounts = f"{MOUNTS}33 22 0:43 / {tmp_path} rw - cifs //there/x rw\n"
    with pytest.raises(UsageError, match=r"network file system \(cifs\)") as caught:
        refuse_network(tmp_path, "where it is not safe", "move it", mounts)
    assert caught.value.message.endswith("(cifs), where it is not safe")
    assert caught.value.hint == "move it"
    refuse_network(tmp_path, "", "", MOUNTS)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", "ext4"),
        ("/home/shared files/me", "nfs4"),
        ("/home/shared files/local/me", "tmpfs"),
        ("/mnt", "fuse.sshfs"),
        ("/mntx", "ext4"),
    ],
)
def test_a_path_belongs_to_its_deepest_mount(path: str, kind: str) -> None:
    from pathlib import Path

    assert kind_of(Path(path), MOUNTS) == kind
