"""Runs a small project the way a user does: files in a folder, ``runner up`` as a process."""

from __future__ import annotations

import ast
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import RunnerError
from pipeline_runner.head.control.client import ask
from pipeline_runner.queues import dead_letters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RUNNER = str(Path(sys.executable).with_name("runner"))
MARK = "RUN_UNDER_TEST"  # in the environment of every process of one run, forked ones too
NAME = "p"

# What user code of the tests shares: a sink that writes down what it gets, and gates.
KEPT = '''\
import os
import time

from pipeline_runner import context

OUTPUT = os.environ.get("RUNNER_OUTPUT", ".")  # a release is no place to write to
_fd = os.open(f"{OUTPUT}/kept", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(*facts):
    """Append one line to the file of this project, whole."""
    os.write(_fd, (repr(facts) + "\\n").encode())


def keep(value):
    """A sink: writes down its stage, the item's id and the item."""
    note(context().stage, context().item_id, value)


def pass_gate(name):
    """Wait until the test opens the gate."""
    while not os.path.exists(f"{OUTPUT}/{name}"):
        time.sleep(0.002)
'''


def until(true: Callable[[], Any], what: str = "", *, within_s: float = 30.0) -> Any:
    """Wait until ``true()`` is, and return its value; fail with ``what`` after ``within_s``."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not (value := true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what or true}")
        pause.wait(0.005)
    return value


def chain(*stages: str) -> str:
    """Return the TOML of edges from each stage to the next."""
    pairs = itertools.pairwise(stages)
    return "".join(f'[[edges]]\nfrom = "{a}"\nto = "{b}"\n' for a, b in pairs)


def stage(name: str, run: str, settings: str = "") -> str:
    """Return the TOML of one stage; ``settings`` are further lines."""
    return f'[stages.{name}]\nrun = "{run}"\n{settings}\n'


def marked(mark: str) -> list[int]:
    """Return the pids of every process that has ``mark`` in its environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # gone, or somebody else's
            continue
    return found


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    out: str
    err: str
    snapshot: dict[str, Any] | None

    def stage(self, name: str) -> dict[str, Any]:
        """Return the final facts of one stage."""
        assert self.snapshot is not None, self.err
        return next(each for each in self.snapshot["stages"] if each["name"] == name)

    def edge(self, name: str) -> dict[str, Any]:
        """Return the final facts of one edge."""
        assert self.snapshot is not None, self.err
        return next(each for each in self.snapshot["edges"] if each["name"] == name)


class Run:
    """A head that was started, and what belongs to it."""

    def __init__(self, project: Project, mark: str, popen: subprocess.Popen[str]) -> None:
        self.project = project
        self.mark = mark
        self.popen = popen

    @property
    def pid(self) -> int:
        """The head's."""
        return self.popen.pid

    def wait(self, within_s: float = 40.0) -> Ended:
        """Wait for the head to end."""
        try:
            out, err = self.popen.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            facts = self.look()
            log = self.project.state / "logs" / "agent.log"
            self.end()
            stages = [each for each in facts.get("stages", ()) if each["state"] != "finished"]
            workers = [host["workers"] for host in facts.get("hosts", ())]
            raise AssertionError(
                f"the run did not end: {facts.get('state')} {stages} {workers} {log.read_text()}"
            ) from None
        try:
            snapshot = json.loads(out)
        except ValueError:
            snapshot = None
        return Ended(self.popen.returncode, out, err, snapshot)

    def look(self) -> dict[str, Any]:
        """Return ``ps --json``; empty while there is no head to ask."""
        try:
            return ask(self.project.state, "ps")
        except (RunnerError, OSError):
            return {}

    def stage(self, name: str) -> dict[str, Any]:
        """Return the facts of one stage at this moment; empty while there is no head to ask."""
        stages = self.look().get("stages", ())
        return next((each for each in stages if each["name"] == name), {})

    def workers(self, stage: str | None = None) -> list[int]:
        """Return the pids of the workers, or of one stage's, as ``ps`` tells."""
        return [
            worker["pid"]
            for host in self.look().get("hosts", ())
            for worker in host["workers"]
            if stage in (None, worker["stage"])
        ]

    def processes(self) -> list[int]:
        """Return every living process of the run, the head among them."""
        return marked(self.mark)

    def agent(self) -> int:
        """Return the agent's pid; 0 while there is none."""
        for pid in self.processes():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(b"pipeline_runner.agent" in word for word in words):
                return pid
        return 0

    def signal(self, number: signal.Signals) -> None:
        """Send the head a signal."""
        self.popen.send_signal(number)

    def end(self) -> None:
        """Kill what is left of the run, and reap the head."""
        self.popen.kill()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.popen.communicate()


@dataclass
class Project:
    """A folder with a pipeline in it."""

    root: Path
    name: str = NAME
    runs: list[Run] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """Where the run keeps its state."""
        return self.root / ".runner" / self.name

    def write(
        self, functions: str, document: str, *, more: Mapping[str, str] | None = None
    ) -> None:
        """Write the functions, the file, and ``more`` modules by name."""
        head = f'[pipeline]\nname = "{self.name}"\ndurability = "memory"\n'
        texts = {"functions": functions, "kept": KEPT, **(more or {})}
        for name, text in texts.items():
            (self.root / f"{name}.py").write_text(text)
        (self.root / "pipeline.toml").write_text(head + document)

    def start(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (RUNNER,),
    ) -> Run:
        """Start ``runner up``; ``arguments`` come after those for a machine-readable end."""
        mark = uuid.uuid4().hex
        popen = subprocess.Popen(
            [*program, "up", "--json", "--ui", "none", *arguments],
            cwd=self.root,
            env={**os.environ, MARK: mark, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        run = Run(self, mark, popen)
        self.runs.append(run)
        return run

    def up(self, *arguments: str, within_s: float = 40.0) -> Ended:
        """Run the pipeline to its end."""
        return self.start(*arguments).wait(within_s)

    def runner(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the project's folder."""
        return subprocess.run(
            [RUNNER, *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def open_gate(self, name: str = "gate") -> None:
        """Let user code pass :func:`kept.pass_gate`."""
        (self.root / name).touch()

    def notes(self) -> list[tuple[Any, ...]]:
        """Return what user code wrote down so far, in order."""
        path = self.root / "kept"
        if not path.exists():
            return []
        text = path.read_text()
        return [ast.literal_eval(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def kept(self, stage: str = "keep") -> list[Any]:
        """Return the items a ``keep`` sink settled, in order, each once however often it ran."""
        by_id = {note[1]: note[2] for note in self.notes() if note[0] == stage}
        return list(by_id.values())

    def letters(self) -> list[dead_letters.DeadLetter]:
        """Return the dead letters, oldest first."""
        return dead_letters.read(self.state)

    def logs(self, stage: str) -> list[dict[str, Any]]:
        """Return what a stage's workers printed."""
        path = self.state / "logs" / f"{stage}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def files(self) -> set[str]:
        """Return every file of the folder but those of the state, by relative path."""
        return {
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if ".runner" not in path.relative_to(self.root).parts
        }
