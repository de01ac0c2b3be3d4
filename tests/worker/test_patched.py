"""Modules that replace threads, locks, waits, sockets or signals when they are imported."""

from __future__ import annotations

import importlib.util
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

IMPORTS = "import asyncio\nimport time\n\n"
BY_HAND = """\
import select
import socket
import threading
import time


def gone(*arguments, **settings):
    raise RuntimeError("replaced")


del select.poll, select.epoll
select.select = threading.Thread.start = threading.Condition.wait = gone
"""
PATCHES = {
    "gevent": "from gevent import monkey\nmonkey.patch_all()\n",
    "eventlet": "import eventlet\neventlet.monkey_patch()\n",
    "by_hand": BY_HAND,
    "socket_timeout": "import socket\nsocket.setdefaulttimeout(0.05)\n",
    "signals": """\
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.set_wakeup_fd(-1)
""",
}
FUNCTIONS = """\
from kept import pass_gate


def numbers():
    for number in range(8):
        time.sleep(0.01)
        yield number


async def later():
    for number in range(8):
        await asyncio.sleep(0.01)
        yield number


def plain(number):
    time.sleep(0.01)
    return number


def generates(number):
    time.sleep(0.01)
    yield number


def batched(numbers):
    time.sleep(0.01)
    return numbers


async def awaits(number):
    await asyncio.sleep(0.01)
    return number


def endless():
    yield 0
    pass_gate("gate")
    while True:
        yield 1
"""
GRACE = '[reload]\ngrace = "1s"\n'
KINDS = {"plain": "", "generates": "", "batched": "batch = { count = 2 }\n", "awaits": ""}


def installed(patch: str) -> bool:
    return patch not in ("gevent", "eventlet") or importlib.util.find_spec(patch) is not None


@pytest.mark.parametrize("durability", ["memory", "fsync"])
@pytest.mark.parametrize("patch", PATCHES)
def test_every_kind_of_stage_works_whatever_its_module_replaces(
    project: Project, patch: str, durability: str
) -> None:
    if not installed(patch):
        pytest.skip(f"{patch} is not installed")
    document = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
    for name in KINDS:
        if patch == "eventlet" and name == "awaits":
            continue
        document += stage(name, f"functions:{name}", KINDS[name]) + chain("numbers", name, "keep")
    if patch != "eventlet":
        document += stage("later", "functions:later") + chain("later", "keep")
    project.write(IMPORTS + PATCHES[patch] + FUNCTIONS, document)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', f'"{durability}"'))
    ended = project.up("--local")
    assert ended.code == 0, ended.err
    copies = len(KINDS) + 1 if patch != "eventlet" else len(KINDS) - 1
    assert Counter(project.kept()) == dict.fromkeys(range(8), copies)


@pytest.mark.parametrize("patch", PATCHES)
def test_a_stop_reaches_a_worker_whatever_its_module_replaces(project: Project, patch: str) -> None:
    if not installed(patch):
        pytest.skip(f"{patch} is not installed")
    document = stage("endless", "functions:endless") + stage("keep", "kept:keep")
    project.write(IMPORTS + PATCHES[patch] + FUNCTIONS, document + chain("endless", "keep") + GRACE)
    run = project.start("--local")
    until(project.kept)
    run.signal(signal.SIGINT)
    ended = run.wait()
    assert project.kept() == [0]
    assert ended.edge("endless->keep")["settled"] == 1


def test_async_code_that_cannot_work_with_what_is_replaced_is_refused_with_its_cure(
    project: Project,
) -> None:
    if not installed("eventlet"):
        pytest.skip("eventlet is not installed")
    document = stage("numbers", "functions:numbers") + stage("awaits", "functions:awaits")
    project.write(PATCHES["eventlet"] + IMPORTS + FUNCTIONS, document + chain("numbers", "awaits"))
    checked = project.runner("check")
    assert checked.returncode != 0
    assert "awaits is async, and eventlet has replaced what asyncio waits with" in checked.stdout
    assert "write it without async" in checked.stdout
