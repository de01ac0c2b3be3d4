"""One bad item among twenty, in every way an item can be bad, beside each other in one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_runner.queues.dead_letters import DeadLetter
    from tests.e2e.kit import Ended, Project

N = 20
BAD = 7
FUNCTIONS = """\
import asyncio
import ctypes
import os
import signal
import sys
import threading
import time

from kept import note
from pipeline_runner import Tagged, context


def numbers():
    yield from range(20)


def few():
    yield from range(4)


def told(number):
    return context().stage, number, context().attempt, context().item_id


def guarded(misbehave):
    def function(number):
        note("called", context().stage, number, context().item_id)
        if number == 7:
            return misbehave(number)
        return told(number)
    return function


def _raise(number):
    raise ValueError(f"no good: {number}")


def _recurse(number):
    return _recurse(number)


def _kill(number):
    os.kill(os.getpid(), signal.SIGKILL)


def _interrupt(number):
    raise KeyboardInterrupt


def _loop(number):
    while True:
        pass


class Unreadable:
    def __reduce__(self):
        return _explode, ()


def _explode():
    raise RuntimeError("cannot be read back")


raises = guarded(_raise)
unpicklable = guarded(lambda number: threading.Lock())
exits = guarded(lambda number: os._exit(3))
segfaults = guarded(lambda number: ctypes.string_at(0))
kills = guarded(_kill)
system_exits = guarded(lambda number: sys.exit(2))
interrupts = guarded(_interrupt)
recurses = guarded(_recurse)
loops = guarded(_loop)


def untagged(number):
    return Tagged(told(number), "nowhere" if number == 7 else "somewhere")


def stumbles(number):
    yield told(number)
    if number == 7:
        raise LookupError("half way")


async def awaits(number):
    note("called", context().stage, number, context().item_id)
    if number == 7:
        raise ValueError("asynchronous")
    return told(number)


async def locks(number):
    return threading.Lock() if number == 7 else told(number)


async def leaves(number):
    if number == 7:
        sys.exit(2)
    return told(number)


async def sleeps(number):
    if number == 7:
        await asyncio.sleep(3600)
    return told(number)


async def hogs(number):
    note("called", context().stage, number, context().item_id)
    while number == 7:
        pass
    return told(number)


async def clings(number):
    while number == 7:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
    return told(number)


def batch(numbers):
    note("batch", tuple(numbers))
    if 7 in numbers:
        raise ArithmeticError("one of them")
    return [("batch", number, context().attempt, None) for number in numbers]


def short(numbers):
    return [("short", number, None, None) for number in numbers if number != 7]


def batch_dies(numbers):
    if 7 in numbers:
        os._exit(9)
    return [("batch_dies", number, None, None) for number in numbers]


def makes(number):
    return Unreadable() if number == 7 else number


def reads(number):
    return told(number)


def drops(number):
    if number == 7:
        raise ValueError("not worth keeping")
    return told(number)


def fails_slowly(number):
    time.sleep(0.11)
    if number < 2:
        raise ValueError("every one of a lease")
    return told(number)


def recovers(number):
    if number == 7 and context().attempt < 3:
        raise ConnectionError("try again")
    return told(number)
"""
RETRY = 'retry = { attempts = 2, backoff = "10ms" }'
# name: (settings, how the error of the letter begins, its cause, words of its traceback)
RAISED = {
    "raises": ("", "ValueError: no good: 7", "raised", "in _raise"),
    "unpicklable": ("", "TypeError: cannot pickle", "unpicklable", "lock"),
    "system_exits": ("", "SystemExit: 2", "raised", "sys.exit(2)"),
    "interrupts": ("", "KeyboardInterrupt", "raised", "in _interrupt"),
    "recurses": ("", "RecursionError", "raised", "in _recurse"),
    "untagged": ("", "NoEdgeFitsError: an output with tags ['nowhere']", "unroutable", ""),
    "stumbles": ("", "LookupError: half way", "raised", "in stumbles"),
    "awaits": ("", "ValueError: asynchronous", "raised", "in awaits"),
    "locks": ("", "TypeError: cannot pickle", "unpicklable", "lock"),
    "leaves": ('timeout = "1m"', "SystemExit: 2", "raised", "sys.exit(2)"),
    "sleeps": (
        'timeout = "200ms"',
        "TimeoutError: the item ran longer than 0.2 s",
        "timeout",
        "in sleeps",
    ),
    "batch": ("batch = { count = 5 }", "ArithmeticError: one of them", "raised", "in batch"),
    "short": (
        "batch = { count = 5 }",
        "ValueError: a batch of 1 items came back as 0",
        "raised",
        "",
    ),
}
KILLED = {
    "exits": ("", "the process died: exit code 3"),
    "segfaults": ("", "the process died: killed by SIGSEGV"),
    "kills": ("", "the process died: killed by SIGKILL"),
    "loops": ('timeout = "500ms"', "timeout: the item ran longer than 0.5 s"),
    "hogs": ('timeout = "500ms"', "timeout: "),
    "clings": ('timeout = "500ms"', "timeout: "),
    "batch_dies": ("batch = { count = 5 }", "the process died: exit code 9"),
}
LETTERS = len(RAISED) + len(KILLED) + 3  # one of reads, two of fails_slowly


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    for name, (settings, *_rest) in (RAISED | KILLED).items():
        tags = 'tags = ["somewhere"]\n' if name == "untagged" else ""
        document += stage(name, f"functions:{name}", f"{RETRY}\n{settings}")
        document += chain("numbers", name) + chain(name, "keep") + tags
    document += stage("makes", "functions:makes") + stage("reads", "functions:reads", RETRY)
    document += chain("numbers", "makes", "reads", "keep")
    document += stage("drops", "functions:drops", f'{RETRY}\non_failure = "drop"')
    document += stage("few", "functions:few") + stage(
        "fails_slowly", "functions:fails_slowly", RETRY
    )
    document += chain("few", "fails_slowly", "keep")
    document += stage("recovers", "functions:recovers", 'retry = { backoff = "10ms" }')
    document += chain("numbers", "drops", "keep") + chain("numbers", "recovers", "keep")
    with fresh_project() as project:
        project.write(FUNCTIONS, document)
        yield project, project.up()


def letter_of(project: Project, name: str) -> DeadLetter:
    letters = [letter for letter in project.letters() if letter.stage == name]
    assert len(letters) == 1
    return letters[0]


def kept_of(project: Project, name: str) -> list[tuple[Any, ...]]:
    return sorted(value[1:] for value in project.kept() if value[0] == name)


def test_the_traceback_of_a_timeout_is_where_the_users_code_hung(
    ran: tuple[Project, Ended],
) -> None:
    lines = letter_of(ran[0], "sleeps").traceback.splitlines()
    assert "functions.py" in lines[1]
    assert lines[-1] == "TimeoutError: the item ran longer than 0.2 s"
    assert not any("concurrent.py" in line for line in lines)


def test_a_run_with_dead_letters_exits_1_and_finishes_all_the_same(
    ran: tuple[Project, Ended],
) -> None:
    project, ended = ran
    assert ended.code == 1, ended.err
    assert ended.snapshot is not None
    assert ended.snapshot["state"] == "finished"
    assert ended.snapshot["dead_letters"] == LETTERS
    assert len(project.letters()) == LETTERS


@pytest.mark.parametrize("name", sorted({**RAISED, **KILLED} | {"reads": 0}))
def test_every_other_item_arrives_once(ran: tuple[Project, Ended], name: str) -> None:
    project, ended = ran
    numbers = [value[0] for value in kept_of(project, name)]
    assert numbers == [number for number in range(N) if number != BAD]
    assert ended.stage(name)["dead"] == 1
    assert ended.stage(name)["out"] == N - 1


@pytest.mark.parametrize("name", [*RAISED, *KILLED])
def test_an_item_that_fails_leaves_the_attempts_of_the_others_alone(
    ran: tuple[Project, Ended], name: str, record_property: Callable[[str, object], None]
) -> None:
    project, ended = ran
    record_property("charged attempts", letter_of(project, name).attempts)
    record_property("of its neighbours", ended.stage(name)["failed"] - 2)
    assert {value[1] for value in kept_of(project, name)} <= {1, None}
    assert letter_of(project, name).attempts == 2
    assert ended.stage(name)["failed"] == 2


@pytest.mark.parametrize("name", RAISED)
def test_what_raises_is_a_dead_letter_with_its_traceback_and_its_payload(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, _ended = ran
    _settings, error, cause, words = RAISED[name]
    letter = letter_of(project, name)
    assert letter.error.startswith(error)
    assert letter.cause == cause
    assert words in letter.traceback
    assert error.split(":")[0] in letter.traceback
    assert letter.payload() == BAD


@pytest.mark.parametrize("name", KILLED)
def test_what_takes_its_process_along_is_a_dead_letter_that_says_how(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, _ended = ran
    letter = letter_of(project, name)
    assert letter.error.startswith(KILLED[name][1])
    assert letter.cause == ("timeout" if "timeout" in KILLED[name][1] else "died")
    assert letter.payload() == BAD


@pytest.mark.parametrize("name", ["exits", "segfaults", "kills", "loops"])
def test_a_poisonous_item_runs_once_for_each_attempt_and_at_most_once_more(
    ran: tuple[Project, Ended], name: str, record_property: Callable[[str, object], None]
) -> None:
    project, _ended = ran
    calls = [note for note in project.notes() if note[:3] == ("called", name, BAD)]
    record_property("times it ran", len(calls))
    assert len(calls) in (2, 3)
    assert len({note[3] for note in calls}) == 1, "its item_id is the same on every run"


@pytest.mark.parametrize(
    "name", ["raises", "unpicklable", "interrupts", "system_exits", "recurses", "awaits"]
)
def test_a_worker_outlives_what_its_function_raises(ran: tuple[Project, Ended], name: str) -> None:
    project, _ended = ran
    calls = [note for note in project.notes() if note[:2] == ("called", name)]
    assert sorted(note[2] for note in calls) == sorted([*range(N), BAD])


def test_a_batch_that_raises_is_run_again_one_by_one(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    batches = [note[1] for note in project.notes() if note[0] == "batch"]
    together = [batch for batch in batches if BAD in batch and len(batch) > 1]
    assert len(together) <= 1
    assert batches.count((BAD,)) == 2
    assert {(number,) for batch in together for number in batch} <= set(batches)


def test_a_dead_letter_is_dropped_where_the_file_says_so(ran: tuple[Project, Ended]) -> None:
    project, ended = ran
    assert [value[0] for value in kept_of(project, "drops")] == [n for n in range(N) if n != BAD]
    assert ended.stage("drops")["failed"] == 2
    assert ended.stage("drops")["dead"] == 0
    assert not [letter for letter in project.letters() if letter.stage == "drops"]
    assert ended.edge("numbers->drops")["settled"] == N


def test_a_worker_goes_on_after_leases_in_which_everything_failed(
    ran: tuple[Project, Ended],
) -> None:
    project, ended = ran
    assert [value[0] for value in kept_of(project, "fails_slowly")] == [2, 3]
    assert ended.stage("fails_slowly")["dead"] == 2


def test_a_retried_item_sees_its_attempt_and_keeps_its_id(ran: tuple[Project, Ended]) -> None:
    project, ended = ran
    kept = kept_of(project, "recovers")
    assert [value[0] for value in kept] == list(range(N))
    assert {value[0]: value[1] for value in kept if value[1] != 1} == {BAD: 3}
    assert ended.stage("recovers")["failed"] == 2


def test_an_item_that_cannot_be_decoded_is_a_letter_of_the_stage_that_reads_it(
    ran: tuple[Project, Ended],
) -> None:
    project, _ended = ran
    letter = letter_of(project, "reads")
    assert letter.cause == "undecodable"
    assert "cannot be read back" in letter.error


def test_errors_list_and_show_say_all_there_is_to_know(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    table = project.runner("errors", "list")
    assert table.returncode == 0, table.stderr
    for name in (*RAISED, *KILLED):
        assert name in table.stdout
    letter = letter_of(project, "raises")
    shown = project.runner("errors", "show", str(letter.letter)).stdout
    for words in (
        "ValueError: no good: 7",
        "raises",
        "numbers->raises",
        letter.item_id,
        "after 2 attempts",
        letter.host,
        f"pid {letter.pid}",
        "functions.py",
        'raise ValueError(f"no good: {number}")',
    ):
        assert words in shown
    as_json = json.loads(project.runner("errors", "show", str(letter.letter), "--json").stdout)
    assert as_json["payload"] == "7"
    assert as_json["traceback"] == letter.traceback
    killed = project.runner("errors", "show", str(letter_of(project, "kills").letter)).stdout
    assert "killed by SIGKILL" in killed
