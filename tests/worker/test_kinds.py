"""Every kind of map in one run: a source fans out to all, and all meet in one sink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

N = 100
FUNCTIONS = """\
import asyncio
import os

from kept import note
from pipeline_runner import Tagged, context, sink, stage


def numbers():
    yield from range(100)


@stage
def plain(number):
    return "plain", number * number


def nothing(number):
    return None


def many(number):
    for turn in range(number % 4):
        yield "many", (number, turn)


inside = peak = 0
full = asyncio.Event()


async def coroutine(number):
    global inside, peak
    inside += 1
    peak = max(peak, inside)
    if inside == 8:
        full.set()
    # Nobody gets by before eight are in here at once: one after the other would never end.
    await full.wait()
    item = context().item_id
    await asyncio.sleep(0.001)
    inside -= 1
    return "coroutine", (number, item == context().item_id, peak)


def asked(number):
    try:
        return context().item_id, context().attempt
    except RuntimeError as error:
        return str(error), number


async def in_threads(number):
    known = await asyncio.to_thread(asked, number)
    unknown = await asyncio.get_running_loop().run_in_executor(None, asked, number)
    return "in_threads", (number, known == (context().item_id, 1), unknown[0])


async def async_many(number):
    for turn in range(number % 3):
        await asyncio.sleep(0)
        yield "async_many", (number, turn)


class Counted:
    def __init__(self):
        self.seen = 0

    def __call__(self, number):
        self.seen += 1
        return "built", (number, context().index, context().count)

    def close(self):
        note("closed", os.getpid(), self.seen, context().finished)


class Adds:
    def __init__(self, more):
        self.more = more

    def __call__(self, number):
        return "instance", number + self.more


instance = Adds(1000)


def batched(numbers):
    note("batch", len(numbers))
    return [("batched", (number, len(numbers))) for number in numbers]


async def batched_later(numbers):
    await asyncio.sleep(0)
    return [("batched_later", number) for number in numbers]


def by_tag(number):
    if number % 4 == 0:
        return Tagged(("by_tag", number), "even", "four")
    if number % 2 == 0:
        return Tagged(("by_tag", number), "even")
    return "by_tag", number


def facts(number):
    context().logger.info("saw %d", number)
    return "facts", {
        "stage": context().stage,
        "host": context().host,
        "release": context().release,
        "output": str(context().output),
        "from_env": os.environ["RUNNER_OUTPUT"],
        "own": os.environ["OWN"],
        "cwd": os.getcwd(),
        "id": context().item_id,
        "attempt": context().attempt,
    }


@sink
def swallow(value):
    return lambda: "what a sink returns is dropped, and never pickled"
"""
MAPS = {
    "plain": "",
    "nothing": "",
    "many": "processes = 2",
    "coroutine": "concurrency = 8",
    "in_threads": "",
    "async_many": "",
    "built": "processes = 2",
    "instance": "",
    "batched": 'batch = { count = 7, period = "20ms" }',
    "batched_later": "batch = { count = 5 }",
    "by_tag": "",
    "facts": 'env = { OWN = "mine" }',
}
RUNS = {"built": "Counted"}


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    document = stage("numbers", "functions:numbers")
    for name, settings in MAPS.items():
        document += stage(name, f"functions:{RUNS.get(name, name)}", settings)
        document += chain("numbers", name)
        if name != "by_tag":
            document += chain(name, "keep")
    document += stage("keep", "kept:keep") + stage("swallow", "functions:swallow")
    document += chain("numbers", "swallow")
    for name, tags in (
        ("every", ""),
        ("evens", 'tags = ["even"]'),
        ("both", 'tags = ["four", "even"]'),
    ):
        document += stage(name, "kept:keep") + chain("by_tag", name) + tags + "\n"
    with fresh_project() as project:
        project.write(FUNCTIONS, document)
        yield project, project.up()


def of(project: Project, name: str) -> list[Any]:
    return [value[1] for value in project.kept() if value is not None and value[0] == name]


def test_a_run_of_every_kind_of_map_ends_well(ran: tuple[Project, Ended]) -> None:
    _project, ended = ran
    assert ended.code == 0, ended.err


def test_each_stage_gets_a_copy_of_what_an_edge_without_tags_carries(
    ran: tuple[Project, Ended],
) -> None:
    _project, ended = ran
    assert ended.stage("numbers")["out"] == N
    for name in (*MAPS, "swallow"):
        assert ended.stage(name)["in"] == N, name
        assert ended.edge(f"numbers->{name}")["settled"] == N


def test_a_plain_function_gives_one_output_an_item(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    assert sorted(of(project, "plain")) == [number * number for number in range(N)]


def test_none_is_an_output_too(ran: tuple[Project, Ended]) -> None:
    project, ended = ran
    assert project.kept().count(None) == N
    assert ended.stage("nothing")["out"] == N


def test_a_generator_gives_none_or_many(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    wanted = [(number, turn) for number in range(N) for turn in range(number % 4)]
    assert sorted(of(project, "many")) == wanted


def test_an_async_generator_gives_none_or_many(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    wanted = [(number, turn) for number in range(N) for turn in range(number % 3)]
    assert sorted(of(project, "async_many")) == wanted


def test_coroutines_run_at_once_up_to_concurrency_and_no_more(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    kept = of(project, "coroutine")
    assert sorted(number for number, _own, _peak in kept) == list(range(N))
    assert max(peak for _number, _own, peak in kept) == 8


def test_each_coroutine_sees_its_own_item_id(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    assert all(own for _number, own, _peak in of(project, "coroutine"))


def test_a_thread_of_a_coroutine_is_told_its_own_item_or_none(
    ran: tuple[Project, Ended],
) -> None:
    project, _ended = ran
    kept = of(project, "in_threads")
    assert sorted(number for number, _known, _unknown in kept) == list(range(N))
    assert all(known for _number, known, _unknown in kept)
    assert all("asyncio.to_thread()" in unknown for _number, _known, unknown in kept)


def test_a_class_is_built_once_a_process_and_closed_at_the_true_end(
    ran: tuple[Project, Ended],
) -> None:
    project, _ended = ran
    closed = [note[1:] for note in project.notes() if note[0] == "closed"]
    assert len(closed) == 2
    assert len({pid for pid, _seen, _finished in closed}) == 2
    assert sum(seen for _pid, seen, _finished in closed) == N
    assert all(finished for _pid, _seen, finished in closed)


def test_processes_of_a_stage_have_indexes_of_their_own(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    kept = of(project, "built")
    assert sorted(number for number, _index, _count in kept) == list(range(N))
    assert {index for _number, index, _count in kept} <= {0, 1}
    assert {count for _number, _index, count in kept} == {2}


def test_an_instance_that_can_be_called_is_a_function(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    assert sorted(of(project, "instance")) == list(range(1000, 1000 + N))


def test_a_batch_is_a_list_of_at_most_count(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    sizes = [note[1] for note in project.notes() if note[0] == "batch"]
    assert sum(sizes) == N
    assert max(sizes) == 7
    assert sorted(number for number, _size in of(project, "batched")) == list(range(N))


def test_a_coroutine_function_takes_batches_too(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    assert sorted(of(project, "batched_later")) == list(range(N))


def test_tags_choose_the_edges_and_no_tag_reaches_those_without(
    ran: tuple[Project, Ended],
) -> None:
    project, _ended = ran
    evens = list(range(0, N, 2))
    assert sorted(number for _name, number in project.kept("every")) == list(range(N))
    assert sorted(number for _name, number in project.kept("evens")) == evens
    assert sorted(number for _name, number in project.kept("both")) == evens, "once, not per tag"


def test_context_tells_where_user_code_runs_and_on_what(ran: tuple[Project, Ended]) -> None:
    project, ended = ran
    told = of(project, "facts")
    assert len({each["id"] for each in told}) == N
    assert all(":numbers->facts:" in each["id"] for each in told)
    assert len({each["id"].partition(":")[0] for each in told}) == 1, "all name one run"
    assert {each["attempt"] for each in told} == {1}
    assert {each["own"] for each in told} == {"mine"}
    assert {each["stage"] for each in told} == {"facts"}
    assert ended.snapshot is not None
    assert {each["host"] for each in told} == {ended.snapshot["hosts"][0]["name"]}
    root = str(project.root)
    assert {(each["output"], each["from_env"]) for each in told} == {(root, root)}
    (release,) = {each["release"] for each in told}
    (cwd,) = {Path(each["cwd"]) for each in told}
    assert cwd.name.endswith(release[:8])
    assert (cwd / "functions.py").read_text() == FUNCTIONS


def test_what_the_logger_says_is_kept_by_stage_and_process(ran: tuple[Project, Ended]) -> None:
    project, _ended = ran
    lines = project.logs("facts")
    assert sorted(line["text"] for line in lines) == sorted(f"INFO saw {n}" for n in range(N))
    assert {(line["stage"], line["index"], line["stream"]) for line in lines} == {
        ("facts", 0, "stderr")
    }


def test_a_sink_may_return_what_cannot_be_pickled(ran: tuple[Project, Ended]) -> None:
    _project, ended = ran
    assert ended.stage("swallow")["dead"] == 0
