"""User code that does what it should not: the run ends, exact, and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Ended, Project

N = 40
FUNCTIONS = """\
import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

from kept import note

first = []


def numbers():
    yield from range(40)


def once(action):
    if not first:
        first.append(True)
        action()


def prints_much(number):
    once(lambda: print("\\n".join("line %d" % line for line in range(20_000))))
    return "prints_much", number


def prints_without_end(number):
    once(lambda: (sys.stdout.write("y" * 200_000), sys.stdout.flush()))
    sys.stdout.write("%d;" % number)
    return "prints_without_end", number


def prints_binary(number):
    os.write(1, bytes(range(256)) + b"\\n")
    return "prints_binary", number


def closes_stdout(number):
    once(lambda: (sys.stdout.close(), sys.stderr.close(), os.close(1), os.close(2)))
    return "closes_stdout", number


def no_stdout(number):
    sys.stdout = sys.stderr = None
    return "no_stdout", number


def moves_away(number):
    os.chdir("/")
    return "moves_away", number


def own_handlers(number):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)
    subprocess.run(["true"], check=True)
    return "own_handlers", number


def threads(number):
    once(lambda: threading.Thread(target=time.sleep, args=(3600,)).start())
    return "threads", number


def forks(number):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "forks", number


def comes_back_twice(number):
    if number == 3:
        os.fork()
    note("comes_back_twice", os.getpid(), number)
    return "comes_back_twice", number


def leaves_a_child(number):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    once(child.start)
    return "leaves_a_child", number


def leaves_a_program(number):
    once(lambda: subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL))
    return "leaves_a_program", number


def closes_everything(number):
    once(lambda: os.closerange(200, 4096))
    return "closes_everything", number


def at_exit(number):
    once(lambda: atexit.register(note, "at exit", os.getpid()))
    return "at_exit", number


def limits(number):
    sys.setrecursionlimit(60)
    sys.setswitchinterval(0.5)
    threading.setprofile(None)
    return "limits", number


def uses_queue(number):
    import queue

    return "uses_queue", queue.MINE


class RaisesInClose:
    def __call__(self, number):
        return "raises_in_close", number

    def close(self):
        raise SystemExit("not my day")


def mutates(box):
    box.append("more")
    return "mutates", len(box)


def mutates_too(box):
    box.append("more")
    return "mutates_too", len(box)


def boxes():
    for number in range(40):
        yield []
"""
NAMES = (
    "prints_much",
    "prints_without_end",
    "prints_binary",
    "closes_stdout",
    "no_stdout",
    "moves_away",
    "own_handlers",
    "threads",
    "forks",
    "comes_back_twice",
    "leaves_a_child",
    "leaves_a_program",
    "closes_everything",
    "at_exit",
    "limits",
    "uses_queue",
    "raises_in_close",
)


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended, set[str]]]:
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    for name in NAMES:
        run = "functions:RaisesInClose" if name == "raises_in_close" else f"functions:{name}"
        document += stage(name, run) + chain("numbers", name, "keep")
    document += stage("boxes", "functions:boxes")
    for name in ("mutates", "mutates_too"):
        document += stage(name, f"functions:{name}") + chain("boxes", name, "keep")
    with fresh_project() as project:
        project.write(FUNCTIONS, document, more={"queue": "MINE = 5\n"})
        before = project.files()
        run = project.start()
        ended = run.wait()
        assert not run.processes(), "nothing outlives the head"
        yield project, ended, project.files() - before


def of(project: Project, name: str) -> list[Any]:
    return [value[1] for value in project.kept() if value[0] == name]


def test_a_run_of_rude_code_ends_well_all_the_same(ran: tuple[Project, Ended, set[str]]) -> None:
    _project, ended, _written = ran
    assert ended.code == 0, ended.err
    assert ended.snapshot is not None
    assert ended.snapshot["state"] == "finished"
    assert all(each["failed"] == 0 for each in ended.snapshot["stages"])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "uses_queue"])
def test_every_item_of_rude_code_arrives_once(
    ran: tuple[Project, Ended, set[str]], name: str
) -> None:
    project, ended, _written = ran
    assert sorted(of(project, name)) == list(range(N))
    assert ended.edge(f"{name}->keep")["settled"] == N


def test_a_module_of_the_project_may_have_a_name_of_the_standard_library(
    ran: tuple[Project, Ended, set[str]],
) -> None:
    project, _ended, _written = ran
    assert of(project, "uses_queue") == [5] * N


@pytest.mark.parametrize("name", ["mutates", "mutates_too"])
def test_what_one_stage_does_to_an_item_is_not_seen_by_its_sibling(
    ran: tuple[Project, Ended, set[str]], name: str
) -> None:
    project, _ended, _written = ran
    assert of(project, name) == [1] * N


def test_much_output_is_kept_whole_and_in_order(ran: tuple[Project, Ended, set[str]]) -> None:
    project, _ended, _written = ran
    lines = [line["text"] for line in project.logs("prints_much")]
    assert lines == [f"line {number}" for number in range(20_000)]


def test_output_without_an_end_of_line_is_kept_in_pieces(
    ran: tuple[Project, Ended, set[str]],
) -> None:
    project, _ended, _written = ran
    text = "".join(line["text"] for line in project.logs("prints_without_end"))
    assert text == "y" * 200_000 + "".join(f"{number};" for number in range(N))


def test_binary_output_is_shown_as_text(ran: tuple[Project, Ended, set[str]]) -> None:
    project, _ended, _written = ran
    lines = [line["text"] for line in project.logs("prints_binary")]
    assert len(lines) == 2 * N, "each of the 256 bytes, and one of them ends a line"
    assert all("\N{REPLACEMENT CHARACTER}" in line for line in lines[1::2])


def test_what_was_registered_for_the_exit_is_run(ran: tuple[Project, Ended, set[str]]) -> None:
    project, _ended, _written = ran
    assert len([note for note in project.notes() if note[0] == "at exit"]) == 1


def test_a_function_that_forks_and_returns_twice_settles_once(
    ran: tuple[Project, Ended, set[str]],
) -> None:
    project, _ended, _written = ran
    notes = [note for note in project.notes() if note[0] == "comes_back_twice"]
    assert len({note[1] for note in notes}) == 2
    assert sorted(of(project, "comes_back_twice")) == list(range(N))


def test_a_run_writes_nothing_beside_its_state(ran: tuple[Project, Ended, set[str]]) -> None:
    _project, _ended, written = ran
    assert written == {"kept"}
