"""Large items stay whole and are counted once, whoever is killed while they are shared."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project, Run

FUNCTIONS = """\
import os
import time

from kept import note
from pipeline_runner import context


def payload(number, size):
    return number.to_bytes(8, "little") * (size // 8)


def whole(data, factor):
    number = int.from_bytes(data[:8], "little")
    assert data == data[:8] * (len(data) // 8), "it was written over"
    return number // factor


def generate():
    for number in range({items}):
        if not os.path.exists(os.environ["RUNNER_OUTPUT"] + "/gate"):
            time.sleep(0.02)
        yield payload(number, ({sizes})[number % len(({sizes}))])


def twice(data):
    return payload(2 * whole(data, 1), len(data))


def thrice(datas):
    return [payload(3 * whole(data, 1), len(data)) for data in datas]


def keep(data):
    note(context().stage, context().item_id, whole(data, 6), len(data))
"""
SIZES = (65_536, 1024**2, 24, 3 * 1024**2)
shared_memory = pytest.mark.skipif(sys.platform != "linux", reason="shared memory without a name")


def write(project: Project, items: int, sizes: tuple[int, ...], durability: str) -> None:
    document = stage("generate", "functions:generate") + stage("keep", "functions:keep")
    document += stage("twice", "functions:twice", "processes = 2")
    document += stage("thrice", "functions:thrice", 'batch = { count = 3, period = "5ms" }')
    document = document.replace(
        "[stages.twice]", '[defaults]\nretry = { attempts = 50, backoff = "1ms" }\n[stages.twice]'
    )
    project.write(
        FUNCTIONS.format(items=items, sizes=sizes),
        document + chain("generate", "twice", "thrice", "keep"),
    )
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', f'"{durability}"'))


def check(project: Project, items: int, sizes: tuple[int, ...]) -> None:
    by_id = {note[1]: note[2:] for note in project.notes()}
    expected = [(number, sizes[number % len(sizes)] // 8 * 8) for number in range(items)]
    assert sorted(by_id.values()) == expected
    assert project.letters() == []


def kill_some(run: Run, chance: random.Random) -> None:
    workers = run.workers()
    if workers:
        try:
            os.kill(chance.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return


def holds_shared_memory(pid: int) -> bool:
    return "pipeline bodies" in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(65_536,), (1024**2,), SIZES])
def test_killed_workers_tear_and_lose_no_large_item(
    project: Project, sizes: tuple[int, ...]
) -> None:
    items, chance = 300, random.Random(len(sizes))
    write(project, items, sizes, "memory")
    run = project.start()
    for kill in range(6):
        seen = len(project.notes())
        until(
            lambda seen=seen: len(project.notes()) >= seen + 20 or run.popen.poll() is not None,
            f"items come out after kill {kill}",
        )
        kill_some(run, chance)
    project.open_gate()
    ended = run.wait()
    assert ended.code == 0, ended.err
    check(project, items, sizes)


@pytest.mark.slow
def test_a_killed_head_tears_and_loses_no_large_item(project: Project) -> None:
    items, chance = 200, random.Random(5)
    write(project, items, SIZES, "fsync")
    for _ in range(3):
        run = project.start()
        seen = len(project.notes())
        until(lambda seen=seen: len(project.notes()) >= seen + 15, "items come out")
        kill_some(run, chance)
        run.signal(signal.SIGKILL)
        run.popen.communicate()
    project.open_gate()
    ended = project.start().wait()
    assert ended.code == 0, ended.err
    check(project, items, SIZES)


@shared_memory
def test_the_shared_memory_has_no_name_and_goes_with_its_processes(project: Project) -> None:
    shared_before = set(Path("/dev/shm").iterdir())
    write(project, 100, (65_536,), "memory")
    run = project.start()
    until(lambda: len(project.notes()) >= 30, "items come out")
    assert holds_shared_memory(run.pid)
    assert all(holds_shared_memory(pid) for pid in run.workers())
    assert set(Path("/dev/shm").iterdir()) <= shared_before
    run.signal(signal.SIGKILL)
    run.popen.communicate()
    until(lambda: not run.processes(), "everything of the run is gone")
    assert set(Path("/dev/shm").iterdir()) <= shared_before


REFUSAL = """\
import mmap
import os


def refuse(*arguments, **more):
    if arguments[1] > 1 << 20 and ("RUNNER_OUTPUT" in os.environ) is {in_workers}:
        raise OSError(12, "no memory")
    return true(*arguments, **more)


true, mmap.mmap = mmap.mmap, refuse
"""


@shared_memory
@pytest.mark.parametrize("in_workers", [True, False])
def test_without_memory_to_map_bodies_go_by_socket(project: Project, in_workers: bool) -> None:
    write(project, 40, (65_536,), "memory")
    project.open_gate()
    site = project.root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(REFUSAL.format(in_workers=in_workers))
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    ended = project.start(environment={"PYTHONPATH": path}).wait()
    assert ended.code == 0, ended.err
    check(project, 40, (65_536,))
