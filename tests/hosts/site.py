"""One pipeline on several hosts: a head, machines that join it, and what its functions noted.

The hosts share the machine's disk, so user code here writes down what it does in one file that
the test reads: who began which item when, and what came out at the end.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import NAME, RUNNER, Project, Run, until
from tests.hosts.lan import lan
from tests.hosts.namespaces import NoNamespaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.hosts.lan import Host, Lan

FUNCTIONS = '''\
import json
import os
import time

from pipeline_runner import context

_fd = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(*facts):
    """Append one line to the notes that all hosts share, whole."""
    os.write(_fd, (json.dumps((*facts, time.monotonic())) + "\\n").encode())


def held_back():
    """All but one when everybody is here; the last one when the test is through with them."""
    pass_gate("all-here")
    *most, last = numbers()
    yield from most
    pass_gate("end")
    yield last


def gate(name):
    return os.path.exists(os.environ["GATES"] + "/" + name)


def pass_gate(name):
    while not gate(name):
        time.sleep(0.002)


def numbers():
    yield from range(int(os.environ["N"]))


def work(number):
    """Slow until the gate ``fast`` opens; on a host with a gate of its own shut, stuck."""
    here = context().host
    note("work", number, here, os.getpid())
    if gate("shut-" + here):
        pass_gate("open-" + here)
    elif not gate("fast"):
        time.sleep(float(os.environ.get("PACE", "0.02")))
    note("worked", number, here)
    return number


def square(number):
    return number * number


def keep(value):
    note("keep", value, context().item_id)
'''


@dataclass
class Joined:
    """A ``runner join`` on a host."""

    host: Host
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has printed so far, to both streams."""
        return self.log.read_text()

    def ended(self, within_s: float = 30) -> int:
        """Wait for its end and return its exit code."""
        return self.popen.wait(within_s)


@dataclass
class Site:
    """A project on the host ``head``, and those that join it."""

    lan: Lan
    head: Host
    project: Project
    key: str = field(default_factory=lambda: secrets.token_hex(32))
    runs: list[Run] = field(default_factory=list)
    joins: list[Joined] = field(default_factory=list)
    _read: int = 0  # bytes of the notes
    _noted: defaultdict[str, list[tuple[Any, ...]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    @property
    def run(self) -> Run:
        """The newest head."""
        return self.runs[-1]

    def write(
        self,
        document: str,
        *,
        items: int = 0,
        functions: str = FUNCTIONS,
        more: dict[str, str] | None = None,
        env: str = "",
        durability: str = "memory",
    ) -> None:
        """Write the project, and begin with no notes and every gate shut.

        ``env`` are further lines of every stage's environment.
        """
        places = f'NOTES = "{self._notes}"\nGATES = "{self._gates}"\nN = "{items}"\n'
        self._gates.mkdir(exist_ok=True)
        for left in (*self._gates.iterdir(), self._notes):
            left.unlink(missing_ok=True)
        self._read = 0
        self._noted.clear()
        self.project.write(functions, f"[defaults.env]\n{places}{env}{document}", more=more)
        file = self.project.root / "pipeline.toml"
        text = file.read_text().replace('durability = "memory"', f'durability = "{durability}"')
        file.write_text(text)

    def give_key(self, host: Host, key: str = "") -> None:
        """Put a key where ``runner`` keeps it, as an earlier first join has done."""
        path = host.home / "config" / "runner" / f"{self.project.name}.key"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(f"{key or self.key}\n")
        path.chmod(0o600)

    def up(self, *arguments: str, cores: str = "", **environment: str) -> Run:
        """Start a head; ``cores`` are those its host has, as taskset names them."""
        self.give_key(self.head)
        program = self.head.command(*_on(cores), RUNNER, **environment)
        self.runs.append(self.project.start("--no-import", *arguments, program=program))
        until(self._is_up, "the head answers")
        return self.run

    def join(
        self,
        host: Host,
        *arguments: str,
        cores: str = "",
        program: Sequence[str] = (RUNNER,),
        **environment: str,
    ) -> Joined:
        """Start ``runner join`` on a host that has the key already."""
        self.give_key(host)
        return self.begin(host, *_on(cores), *program, "join", *arguments, **environment)

    def begin(self, host: Host, *command: str, **environment: str) -> Joined:
        """Start a command on a host, its words in a file."""
        log = host.home / f"said-{len(self.joins)}"
        with log.open("wb") as words:
            popen = subprocess.Popen(
                host.command(*command, **environment),
                cwd=host.home,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
            )
        self.joins.append(Joined(host, popen, log))
        return self.joins[-1]

    def open_gate(self, name: str) -> None:
        """Let user code pass a gate."""
        (self._gates / name).touch()

    def workers(self) -> dict[str, Counter[str]]:
        """Return how many running workers of each stage each host has, as ``ps`` tells."""
        return {
            host["name"]: Counter(
                worker["stage"] for worker in host["workers"] if worker["state"] == "running"
            )
            for host in self.run.look().get("hosts", ())
        }

    def state(self, host: str) -> str:
        """Return what ``ps`` says of a host; "" if it does not name it."""
        hosts = self.run.look().get("hosts", ())
        return next((each["state"] for each in hosts if each["name"] == host), "")

    def notes(self, what: str) -> list[tuple[Any, ...]]:
        """Return what user code noted of one kind, in order, without the word itself."""
        if self._notes.exists():
            with self._notes.open("rb") as file:  # on from where it was read the last time
                file.seek(self._read)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                kind, *facts = json.loads(line)
                self._noted[kind].append(tuple(facts))
        return list(self._noted[what])

    def begun(self) -> dict[int, list[tuple[str, int, float]]]:
        """Return for each item its beginnings: (host, pid, when by the monotonic clock)."""
        begun = defaultdict(list)
        for number, *beginning in self.notes("work"):
            begun[number].append(tuple(beginning))
        return dict(begun)

    def kept(self) -> dict[str, Any]:
        """Return what came out, by item id."""
        return {item_id: value for value, item_id, _when in self.notes("keep")}

    def end(self) -> None:
        """Kill what is left on every host."""
        for host in self.lan.hosts.values():
            host.power_off()
        for run in self.runs:
            run.end()
        for joined in self.joins:
            joined.popen.wait(5)

    def _is_up(self) -> bool:
        assert self.run.popen.poll() is None, self.run.popen.communicate()
        return bool(self.run.look())

    @property
    def _notes(self) -> Path:
        return self.lan.folder / f"notes-{self.project.name}"

    @property
    def _gates(self) -> Path:
        return self.lan.folder / f"gates-{self.project.name}"


@contextmanager
def network(*names: str) -> Iterator[Lan]:
    """Give hosts of these names on one network.

    Where there are no namespaces the test is skipped, but in CI it fails: what is promised of
    other machines is not to go unproved there.
    """
    try:
        made = lan(*names)
        network = made.__enter__()
    except NoNamespaces as why:
        reason = f"no hosts to test on: {why}"
    else:
        try:
            yield network
        finally:
            made.__exit__(None, None, None)
        return
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def site(lan: Lan, head: str, name: str = NAME) -> Iterator[Site]:
    """Give a site whose project lies on the host ``head``."""
    root = lan[head].home / f"project-{name}"
    root.mkdir()
    made = Site(lan, lan[head], Project(root, name))
    try:
        yield made
    finally:
        made.end()


def _on(cores: str) -> tuple[str, ...]:
    return ("taskset", "-c", cores) if cores else ()
