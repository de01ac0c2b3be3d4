from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pipeline_runner.errors import NoHead
from pipeline_runner.head.address import find
from pipeline_runner.head.control.client import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
RUNNER = [
    sys.executable,
    "-c",
    "import sys; from pipeline_runner.cli import main; sys.exit(main())",
]
PATIENCE_S = 100


@dataclass
class Ended:
    code: int
    out: str
    err: str

    def printed(self, slot: str) -> list[str]:
        """What a worker printed."""
        return printed(self.out, slot)


def printed(text: str, slot: str) -> list[str]:
    """What a worker printed, without the prefix that says which one."""
    prefix = f"{slot} "
    return [line[len(prefix) :] for line in text.splitlines() if line.startswith(prefix)]


@dataclass
class Example:
    """A copy of an example beside a copy of the schema, as both lie in the repository."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [*RUNNER, *arguments]

    def run(self, *command: str, **env: str) -> Ended:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment() | env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def runner(self, *arguments: str, **env: str) -> Ended:
        return self.run(*self.command(*arguments), **env)

    def files(self) -> dict[str, bytes]:
        """Every file but those of the run's state, by name, with its content."""
        root = self.folder.parent.parent
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and ".runner" not in path.parts
        }


def environment() -> dict[str, str]:
    """As a user has it: where Python may write byte code, and a run must not."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "NO_COLOR": "1", "FOLDER": ""}


@pytest.fixture
def example(tmp_path: Path) -> Callable[[str], Example]:
    def copy(name: str) -> Example:
        leave = shutil.ignore_patterns(".runner", "__pycache__")
        shutil.copytree(REPOSITORY / "schemas", tmp_path / "schemas")
        folder = tmp_path / "examples" / name
        shutil.copytree(REPOSITORY / "examples" / name, folder, ignore=leave)
        return Example(folder)

    return copy


@dataclass
class Started:
    """A run in the background; its output can be read line by line while it goes on."""

    popen: subprocess.Popen[str]
    state: Path

    def read_until(self, done: Callable[[list[str]], bool]) -> list[str]:
        """Read lines until ``done`` says that they are enough, or the output ends."""
        assert self.popen.stdout is not None
        lines: list[str] = []
        for line in self.popen.stdout:
            lines.append(line.rstrip("\n"))
            if done(lines):
                return lines
        pytest.fail(f"the run ended too early: {lines}")

    def processes(self) -> list[psutil.Process]:
        """The head and everything under it."""
        head = psutil.Process(find(self.state)["pid"])
        return [head, *head.children(recursive=True)]

    def wait_until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask the head how the run stands until it stands as ``wanted``."""
        while self.popen.poll() is None:
            with suppress(NoHead):  # it is still starting
                if wanted(stands := ask(self.state, "ps")):
                    return stands
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(0.02)
        pytest.fail(f"the run ended too early: {self.popen.communicate()[0]}")

    def kill_workers(self) -> set[str]:
        """Kill every worker at once; return the stages that lost one."""
        stages = set()
        for host in ask(self.state, "ps")["hosts"]:
            for worker in host["workers"]:
                os.kill(worker["pid"], signal.SIGKILL)
                stages.add(worker["stage"])
        return stages

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal to the head; return its exit code and what it said from there on."""
        self.popen.send_signal(number)
        rest, _ = self.popen.communicate(timeout=PATIENCE_S)
        return self.popen.returncode, rest


@pytest.fixture
def start() -> Iterator[Callable[[Example], Started]]:
    """Start examples, and leave nothing of them behind, whatever the test does."""
    running: list[Started] = []

    def begin(example: Example, **env: str) -> Started:
        popen = subprocess.Popen(
            example.command("up", "--ui", "plain"),
            cwd=example.folder,
            env=environment() | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        running.append(Started(popen, example.folder / ".runner" / example.folder.name))
        return running[-1]

    yield begin
    for started in running:
        if started.popen.poll() is None:
            started.popen.kill()  # its agent and its workers notice at once, and go
        started.popen.communicate()
