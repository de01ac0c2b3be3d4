"""Recycling, rates and timeouts, beside each other in one run."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage, until
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kit import Ended, Project

FUNCTIONS = """\
import os
import time

from kept import note
from pipeline_runner import context

hoard = []


def hundred():
    yield from range(100)


def sixty():
    yield from range(60)


def counted(number):
    note("counted", os.getpid())
    return "counted", number


async def counted_async(number):
    note("counted_async", os.getpid())
    return "counted_async", number


def counted_batch(numbers):
    note("counted_batch", os.getpid(), len(numbers))
    return [("counted_batch", number) for number in numbers]


class Leaks:
    def __call__(self, number):
        hoard.append(b"x" * (4 * 2**20))
        note("leaks", os.getpid())
        return "leaks", number

    def close(self):
        note("leaks closed", os.getpid(), context().finished)


def gorges(number):
    note("gorges", os.getpid(), number)
    if number == 30:
        hoard.append(b"x" * (400 * 2**20))
        while True:
            pass
    return "gorges", number


def paced(number):
    note("paced", time.monotonic())
    return "paced", number
"""
STAGES = {
    "counted": ("functions:counted", "processes = 2\nmax_items = 10"),
    "counted_async": ("functions:counted_async", "max_items = 30\nconcurrency = 8"),
    "counted_batch": ("functions:counted_batch", "max_items = 40\nbatch = { count = 7 }"),
    "leaks": ("functions:Leaks", 'max_memory = "150MiB"'),
    "gorges": ("functions:gorges", 'max_memory = "100MiB"\nretry = { attempts = 1 }'),
}


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    document = stage("hundred", "functions:hundred") + stage("sixty", "functions:sixty")
    document += stage("paced", "functions:paced", 'processes = 2\nrate_limit = "100/s"')
    document += chain("sixty", "paced", "keep") + stage("keep", "kept:keep")
    for name, (run, settings) in STAGES.items():
        document += stage(name, run, settings) + chain("hundred", name, "keep")
    with fresh_project() as project:
        project.write(FUNCTIONS, document)
        yield project, project.up()


def of(project: Project, name: str) -> list[Any]:
    return sorted(value[1] for value in project.kept() if value[0] == name)


def calls(project: Project, name: str) -> Counter[int]:
    return Counter(note[1] for note in project.notes() if note[0] == name)


@pytest.mark.parametrize("name", ["counted", "counted_async", "counted_batch", "leaks"])
def test_recycling_loses_and_repeats_nothing(ran: tuple[Project, Ended], name: str) -> None:
    project, ended = ran
    assert of(project, name) == list(range(100))
    assert ended.stage(name)["failed"] == 0
    assert ended.edge(f"hundred->{name}")["settled"] == 100


def test_max_items_bounds_what_a_process_is_given(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    by_pid = calls(project, "counted")
    assert set(by_pid.values()) == {10}
    assert len(by_pid) == 10


def test_max_items_bounds_a_process_of_coroutines_too(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    assert sorted(calls(project, "counted_async").values()) == [10, 30, 30, 30]


def test_max_items_bounds_the_items_of_batches(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    sizes: Counter[int] = Counter()
    for note in project.notes():
        if note[0] == "counted_batch":
            sizes[note[1]] += note[2]
    assert max(sizes.values()) <= 40


def test_a_leak_is_recycled_in_good_order(
    ran: tuple[Project, Ended], record_property: Callable[[str, object], None]
) -> None:
    project, _ended = ran
    by_pid = calls(project, "leaks")
    record_property("MiB leaked", 4 * by_pid.total())
    record_property("processes used up", len(by_pid))
    assert len(by_pid) > 1
    closed = {note[1]: note[2] for note in project.notes() if note[0] == "leaks closed"}
    assert closed.keys() == by_pid.keys(), "each was closed, none killed"
    assert sum(closed.values()) <= 1, "only the last one saw the true end"


def test_an_item_that_takes_far_too_much_memory_is_killed_and_charged(
    ran: tuple[Project, Ended],
) -> None:
    project, ended = ran
    assert of(project, "gorges") == [number for number in range(100) if number != 30]
    assert ended.stage("gorges")["dead"] == 1
    (letter,) = project.letters()
    assert letter.cause == "memory"
    assert "over max_memory" in letter.error
    assert letter.payload() == 30


def test_a_rate_limit_holds_for_all_processes_of_a_stage_together(
    ran: tuple[Project, Ended],
) -> None:
    project, _ended = ran
    assert of(project, "paced") == list(range(60))
    times = sorted(note[1] for note in project.notes() if note[0] == "paced")
    # A tenth of a second's worth may come at once; the rest is due one by one.
    assert times[-1] - times[0] >= (60 - 10 - 1) / 100 * 0.9


ENDLESS = """\
import os
import time

from kept import note
from pipeline_runner import context


def numbers():
    yield from range(40)


def loops(number):
    note("began", number, os.getpid(), time.monotonic(), context().attempt)
    while number == 11:
        pass
    return number
"""


def test_an_endless_loop_is_killed_within_3_s_and_charged_alone(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    document += stage("loops", "functions:loops", 'timeout = "2s"\nretry = { attempts = 1 }')
    project.write(ENDLESS, document + chain("numbers", "loops", "keep"))
    run = project.start()

    def stuck() -> tuple[int, float] | None:
        found = [note for note in project.notes() if note[:2] == ("began", 11)]
        return (found[0][2], found[0][3]) if found else None

    pid, began = until(stuck)
    until(lambda: pid not in run.processes(), "the worker is killed")
    killed_after_s = time.monotonic() - began
    record_property("killed after s", killed_after_s)
    assert killed_after_s < 3
    ended = run.wait()
    assert ended.code == 1
    assert sorted(project.kept()) == [number for number in range(40) if number != 11]
    (letter,) = project.letters()
    assert (letter.cause, letter.attempts, letter.payload()) == ("timeout", 1, 11)
    assert len([note for note in project.notes() if note[:2] == ("began", 11)]) == 1
    assert {note[4] for note in project.notes() if note[0] == "began"} == {1}


STOPS = """\
import time

from kept import pass_gate


def endless():
    number = 0
    while True:
        yield number
        number += 1


def fails(number):
    if number == 5:
        pass_gate("gate")
        raise ValueError("stop here")
    if number > 5:
        time.sleep(0.1)  # the stop comes before the queue is empty
    return number
"""


def test_on_failure_stop_pauses_the_sources_and_exits_1(project: Project) -> None:
    document = stage("endless", "functions:endless") + stage("keep", "kept:keep")
    settings = 'on_failure = "stop"\nretry = { attempts = 1 }'
    document += stage("fails", "functions:fails", settings)
    project.write(
        STOPS, document + chain("endless", "fails") + "capacity = 10\n" + chain("fails", "keep")
    )
    run = project.start()
    until(lambda: run.stage("endless").get("out", 0) >= 10)
    project.open_gate()
    ended = run.wait(within_s=15)  # no worker sits out its grace, the paused source least of all
    assert ended.code == 1
    assert ended.snapshot is not None
    assert ended.snapshot["state"] == "failed"
    assert ended.stage("endless")["state"] == "paused"
    assert "fails" in ended.stage("endless")["reason"]
    (letter,) = project.letters()
    assert letter.payload() == 5
    assert ended.edge("endless->fails")["queued"] > 0


CYCLE = """\
from pipeline_runner import Tagged


def hundred():
    yield from range(100)


def crawl(page):
    if page < 100:
        yield Tagged(page, "seen")
        for link in range(50):
            yield Tagged(1000 + page * 50 + link, "link")
    else:
        yield Tagged(page, "seen")
"""


def test_a_cycle_of_capacity_3_that_emits_50_an_item_drains_and_ends(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    document = stage("hundred", "functions:hundred") + stage("keep", "kept:keep")
    document += stage("crawl", "functions:crawl", "processes = 2")
    document += chain("hundred", "crawl") + "capacity = 3\n"
    document += chain("crawl", "crawl") + 'capacity = 3\ntags = ["link"]\n'
    document += chain("crawl", "keep") + 'tags = ["seen"]\n'
    project.write(CYCLE, document)
    ended = project.up()
    assert ended.code == 0, ended.err
    assert sorted(project.kept()) == [*range(100), *range(1000, 6000)]
    record_property("N", len(project.kept()))
    assert ended.stage("crawl")["in"] == 5100
    assert ended.edge("crawl->crawl")["settled"] == 5000
