"""The agent of the head's own host: started ahead of its head, used once, or ended unused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from pipeline_runner.head.hosts.local_agent import LocalAgent, SpareAgent
from tests.e2e.kit import until


def children() -> set[int]:
    """Return the processes that this one has started and that still run."""
    return {
        each.pid
        for each in psutil.Process().children(recursive=True)
        if each.status() != psutil.STATUS_ZOMBIE
    }


def test_a_spare_agent_that_is_dropped_is_gone() -> None:
    before = children()
    spare = SpareAgent()
    assert len(children() - before) == 1
    spare.drop()
    spare.drop()
    assert children() == before


def test_a_spare_agent_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os; from pipeline_runner.head.hosts.local_agent import SpareAgent\n"
        "print(SpareAgent()._popen.pid, flush=True); os._exit(0)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid = int(said.stdout)
    assert until(lambda: not Path(f"/proc/{pid}/fd/0").exists(), "it has ended")


def test_an_agent_starts_whether_its_spare_is_alive_or_not(tmp_path: Path) -> None:
    for kills in (False, True):
        before = children()
        spare = SpareAgent()
        (ahead,) = children() - before
        if kills:
            psutil.Process(ahead).kill()
            psutil.Process(ahead).wait(10)
        log = tmp_path / "agent.log"
        agent = LocalAgent(tmp_path / "no.sock", "here", log, tmp_path, tmp_path, spare)
        agent.start()
        started = children() - before
        assert (ahead in started) is not kills
        agent.stop()  # there is no head at that socket: it goes by itself
        assert children() == before
        assert log.exists()
