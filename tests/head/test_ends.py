"""How a head ends: with one grace, not struck by a late signal, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.head.signals import Signals
from tests.e2e.kit import chain, stage, until

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
import subprocess

from kept import keep, note, pass_gate


def numbers():
    yield from range(4)


def blocks(number):
    note("blocks", number)
    pass_gate("never")


def starts_another(number):
    note("child", subprocess.Popen(["sleep", "1000"]).pid)
    pass_gate("never")
"""


def write(project: Project, function: str, grace: str = "30s") -> None:
    document = stage("numbers", "functions:numbers") + stage("work", f"functions:{function}")
    document += stage("keep", "kept:keep") + chain("numbers", "work", "keep")
    project.write(FUNCTIONS, document + f'[reload]\ngrace = "{grace}"\n')


def test_a_stop_takes_its_grace_once_however_long_the_backlog_took(project: Project) -> None:
    write(project, "blocks", grace="4s")
    run = project.start()
    until(lambda: project.notes(), "an item that never ends")
    run.signal(signal.SIGTERM)
    # 4 s for a backlog that never drains, and not 4 s more for the item that never ends.
    ended = run.wait(within_s=7.5)
    assert ended.code == 1, "items were lost"
    assert not run.processes()


def test_a_signal_after_the_end_of_a_run_strikes_nobody() -> None:
    signals, heard = Signals(), []
    before = signal.getsignal(signal.SIGTERM)
    with signals.taken():
        signals.stop()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        heard.append("still here")
    assert heard == ["still here"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_before_a_run_has_begun_is_heard_then_and_a_second_ends_the_start() -> None:
    signals, heard = Signals(), []
    with signals.taken():
        os.kill(os.getpid(), signal.SIGTERM)

        async def run() -> None:
            came = asyncio.get_running_loop().create_future()
            signals.listen(asyncio.get_running_loop(), lambda *told: came.set_result(told))
            heard.append((await came)[0])

        asyncio.run(run())
    assert heard == [signal.SIGTERM]
    with Signals().taken():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # of the same press, as a shell and its group send it
        with pytest.raises(KeyboardInterrupt):
            until(lambda: os.kill(os.getpid(), signal.SIGINT), "the start ends")


def test_what_workers_had_started_ends_at_the_next_start_when_all_were_killed(
    project: Project,
) -> None:
    write(project, "starts_another")
    run = project.start()
    note = until(lambda: project.notes() and project.notes()[0], "a child of a worker")
    child = note[1]
    agent = run.agent()
    os.kill(agent, signal.SIGSTOP)  # or it would end them yet
    os.kill(run.pid, signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    run.popen.communicate()
    until(lambda: run.processes() == [child], "the workers' end")
    (project.root / "kept").unlink()
    again = project.start()
    assert until(lambda: child not in run.processes(), "the end of the orphan")
    again.end()
