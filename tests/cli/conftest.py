from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cli import main
from pipeline_runner.errors import NoHead

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIPELINE = """\
[pipeline]
name = "squares"
durability = "memory"

[stages.generate]
run = "functions:generate"

[stages.square]
run = "functions:square"
processes = 2

[stages.collect]
run = "functions:collect"

[[edges]]
from = "generate"
to = "square"

[[edges]]
from = "square"
to = "collect"
"""
FUNCTIONS = """\
def generate():
    yield from range(10)


def square(number):
    return number * number


def collect(number):
    print(number)
"""


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def runner(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command line in this process, as the shell would."""

    def run(*arguments: str) -> Ended:
        capfd.readouterr()
        code = main(list(arguments))
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a small pipeline, which is also where the command runs."""
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


@dataclass
class Head:
    """Stands for a running head: what it answers, what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def ask(self, state_dir: Path, verb: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append((verb, arguments))
        answer = self.answers.get(verb)
        if isinstance(answer, list):  # one after the other; then there is no head any more
            answer = answer.pop(0) if answer else None
        if answer is None:
            raise NoHead("no head of this pipeline runs here", hint="runner up")
        return answer


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Head:
    """A head that the commands find; without answers, none runs."""
    found = Head()
    module = types.ModuleType("pipeline_runner.head.control.client")
    module.ask = found.ask  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipeline_runner.head.control.client", module)
    return found
