"""What every store does, and what only one with a disk can."""

from __future__ import annotations

import asyncio
import copy
import errno
import os
import random
import shutil
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.queues.broker.transaction import Body, Transaction
from pipeline_runner.queues.journal import store as stores
from pipeline_runner.queues.journal.recovery import open_journal
from tests.queues.journal.clerk import Clerk, journal, memory, pending
from tests.queues.journal.steps import contents, facts, letter, random_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

KINDS = ("memory", "fsync", "relaxed")


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def make(kind: str, folder: Path, clerk: Clerk) -> Any:
    if kind == "memory":
        return memory(clerk)
    return journal(folder, clerk, relaxed=kind == "relaxed")[0]


def close(store: Any) -> None:
    if hasattr(store, "close"):
        store.close()


def made(number: int, size: int = 100) -> Transaction:
    """A step that makes one body of one item."""
    return Transaction(produced=[(("a->b",), Body(number, 1, b"x" * size))])


def gone(number: int) -> Transaction:
    """A step that consumes it."""
    return Transaction(consumed=[("a->b", number, ((0, 1),))])


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_answered_once_in_order(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        clerk = Clerk()
        store = make(kind, tmp_path, clerk)
        steps = [pending(copy.deepcopy(s)) for s, _all in random_steps(random.Random(1), 200)]
        for number, step in enumerate(steps):
            store.commit(step)
            if number % 17 == 0:
                await asyncio.sleep(0)
        await clerk.until(lambda: len(clerk.answers) == 200)
        assert clerk.answers == [(step, True) for step in steps]
        assert store.idle
        close(store)

    run(story)


@pytest.mark.parametrize("kind", KINDS)
def test_a_letter_is_on_disk_before_its_step_is_answered(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        clerk = Clerk()
        store = make(kind, tmp_path, clerk)
        store.commit(pending(made(1)))
        store.commit(pending(Transaction(letters=[letter(7, "a->b", 1, 0)])))
        store.commit(pending(made(2)))
        await clerk.until(lambda: len(clerk.answers) >= 2)
        assert clerk.letters == [7]
        await clerk.until(lambda: store.idle)
        close(store)

    run(story)


@pytest.mark.parametrize("kind", ["fsync", "relaxed"])
def test_what_was_answered_is_found_again(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        clerk = Clerk()
        store = make(kind, tmp_path, clerk)
        for step, built in random_steps(random.Random(3), 120):
            store.commit(pending(copy.deepcopy(step)))
            expected = built
        await clerk.until(lambda: len(clerk.answers) == 120)
        store.keep_shares({"a": 3})
        await clerk.until(lambda: not store._busy and store._shares is None)
        close(store)
        again = open_journal(tmp_path)
        assert facts(contents(again)) == facts(expected)
        assert again.shares == {"a": 3}
        again.sql.close()

    run(story)


def test_steps_that_wait_share_a_commit(tmp_path: Path) -> None:
    async def story() -> None:
        clerk = Clerk()
        store, _sql = journal(tmp_path, clerk)
        for number in range(1, 101):
            store.commit(pending(made(number)))
        await clerk.until(lambda: len(clerk.answers) == 100)
        assert clerk.groups == [100]
        store.close()

    run(story)


def test_relaxed_moves_the_log_into_the_database_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RELAXED_S", 0.01)

    async def story() -> None:
        clerk = Clerk()
        store, _sql = journal(tmp_path, clerk, relaxed=True)
        store.commit(pending(made(1)))
        await clerk.until(lambda: b"x" * 100 in (tmp_path / "journal").read_bytes())
        assert [ok for _pending, ok in clerk.answers] == [True]
        store.close()

    run(story)


def test_a_body_that_goes_is_not_written_once_more(tmp_path: Path) -> None:
    async def story() -> None:
        clerk = Clerk()
        store, sql = journal(tmp_path, clerk)
        for number in range(1, 101):
            store.commit(pending(made(number, 10_000)))
        await clerk.until(lambda: store.idle and not store._busy)
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        for number in range(1, 101):
            store.commit(pending(gone(number)))
        await clerk.until(lambda: len(clerk.answers) == 200 and not store._busy)
        assert 0 < (tmp_path / "journal-wal").stat().st_size < 100_000
        store.close()

    run(story)


def full() -> sqlite3.OperationalError:
    return sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("statement", ["COMMIT", "UPDATE state", "BEGIN"])
def test_a_full_disk_refuses_outputs_once_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setattr(stores, "AGAIN_S", 0.01)

    async def story() -> None:
        clerk = Clerk()
        store, sql = journal(tmp_path, clerk)
        store.commit(pending(made(1)))
        await clerk.until(lambda: store.idle)
        sql.on, sql.fault = statement, full()
        store.commit(pending(made(2)))
        frees = pending(gone(1))
        store.commit(frees)
        await clerk.until(lambda: len(clerk.answers) == 2)
        assert clerk.answers[1][1] is False
        assert [bool(reason) for reason in clerk.fullness] == [True]
        store.commit(pending(made(3)))  # refused at once: nothing new can be kept
        await clerk.until(lambda: len(clerk.answers) == 3)
        assert clerk.answers[2][1] is False
        assert not store.idle  # what frees room waits
        sql.fault = None
        await clerk.until(lambda: clerk.fullness[-1] == "")
        assert clerk.answers[3] == (frees, True)
        store.commit(pending(made(4)))
        await clerk.until(lambda: store.idle)
        assert clerk.answers[4][1] is True
        store.close()
        again = open_journal(tmp_path)
        assert list(contents(again).bodies) == [4]
        again.sql.close()

    run(story)


def test_a_charge_waits_for_room_and_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "AGAIN_S", 0.01)

    async def story() -> None:
        clerk = Clerk()
        store, _sql = journal(tmp_path, clerk)
        store.commit(pending(made(1)))
        await clerk.until(lambda: store.idle)
        clerk.letter_fault = OSError(errno.ENOSPC, "No space left on device")
        charge = pending(Transaction(letters=[letter(1, "a->b", 1, 0)]), retryable=True)
        store.commit(charge)
        await clerk.until(lambda: clerk.fullness)
        assert len(clerk.answers) == 1
        clerk.letter_fault = None
        await clerk.until(lambda: store.idle)
        assert clerk.answers[1] == (charge, True)
        assert clerk.letters == [1]
        store.close()

    run(story)


@pytest.mark.parametrize("statement", ["COMMIT", "BEGIN", "UPDATE state"])
def test_after_a_disk_error_nothing_is_answered(tmp_path: Path, statement: str) -> None:
    async def story() -> None:
        clerk = Clerk()
        store, sql = journal(tmp_path, clerk)
        store.commit(pending(made(1)))
        await clerk.until(lambda: store.idle)
        sql.on, sql.fault = statement, sqlite3.OperationalError("disk I/O error")
        store.commit(pending(made(2)))
        store.commit(pending(gone(1)))
        await clerk.until(lambda: clerk.failure)
        sql.fault = None
        store.commit(pending(made(3)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(clerk.answers) == 1
        store.close()
        assert (tmp_path / "journal.suspect").exists()
        again = open_journal(tmp_path)
        assert list(contents(again).bodies) == [1]
        assert not (tmp_path / "journal.suspect").exists()
        again.sql.close()

    run(story)


def test_a_checkpoint_that_fails_ends_it_too_but_keeps_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "CHECKPOINT_BYTES", 1)

    async def story() -> None:
        clerk = Clerk()
        store, sql = journal(tmp_path, clerk)
        sql.on, sql.fault = "PRAGMA wal_checkpoint", sqlite3.OperationalError("disk I/O error")
        store.commit(pending(made(1)))
        await clerk.until(lambda: clerk.failure)
        assert [ok for _pending, ok in clerk.answers] == [True]
        sql.fault = None
        store.close()
        again = open_journal(tmp_path)
        assert list(contents(again).bodies) == [1]
        again.sql.close()

    run(story)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid():
        pytest.skip("only root may mount one")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_really_is_full_loses_nothing_and_resumes(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "AGAIN_S", 0.05)

    async def story() -> None:
        clerk = Clerk()
        store, _sql = journal(small_disk, clerk)
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(4 * 1024**2))
        number = 0
        while not clerk.fullness:
            number += 1
            store.commit(pending(made(number, 200_000)))
            seen = number
            await clerk.until(lambda: len(clerk.answers) >= seen)  # noqa: B023
        assert clerk.answers[-1][1] is False
        assert clerk.failure is None
        ballast.unlink()
        await clerk.until(lambda: clerk.fullness[-1] == "")
        store.commit(pending(made(number, 200_000)))
        await clerk.until(lambda: store.idle)
        assert clerk.answers[-1][1] is True
        store.close()
        again = open_journal(small_disk)
        assert list(contents(again).bodies) == list(range(1, number + 1))
        again.sql.close()

    run(story)
    shutil.rmtree(small_disk, ignore_errors=True)


@pytest.mark.parametrize(("size", "seed"), [(10_000, 2), (10_000, 4), (1_000, 5), (300_000, 25)])
def test_a_disk_full_of_bodies_can_be_emptied(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, size: int, seed: int
) -> None:
    monkeypatch.setattr(stores, "AGAIN_S", 0.02)
    chance = random.Random(seed)

    async def story() -> None:
        clerk = Clerk()
        store, _sql = journal(small_disk, clerk)
        number = 0
        while not clerk.fullness:
            for _ in range(chance.choice((1, 1, 2, 5, 30))):
                number += 1
                store.commit(pending(made(number, size)))
            seen = number
            await clerk.until(lambda: len(clerk.answers) >= seen)  # noqa: B023
        kept = [p.step.produced[0][1].id for p, ok in clerk.answers if ok]
        assert len(kept) * size > 1.5 * 1024**2
        for each in kept:
            store.commit(pending(gone(each)))
        await clerk.until(lambda: len(clerk.answers) == number + len(kept))
        assert all(ok for _pending, ok in clerk.answers[number:])
        await clerk.until(lambda: clerk.fullness[-1] == "")
        store.close()

    run(story)
    shutil.rmtree(small_disk, ignore_errors=True)


def test_shares_are_kept_though_their_first_transaction_found_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "AGAIN_S", 0.01)

    async def story() -> None:
        clerk = Clerk()
        store, sql = journal(tmp_path, clerk)
        sql.on, sql.fault = "COMMIT", full()
        store.keep_shares({"a": 3})
        store.commit(pending(made(1)))
        await clerk.until(lambda: clerk.fullness)
        sql.fault = None
        await clerk.until(lambda: clerk.fullness[-1] == "")
        await clerk.until(lambda: not store._busy and store._shares is None)
        store.close()
        again = open_journal(tmp_path)
        assert again.shares == {"a": 3}
        again.close()

    run(story)
