from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cli import detach as detached
from pipeline_runner.errors import AlreadyRunning, ExitCode, UsageError
from tests.observe.feed import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.observe.screen import Screen
    from pipeline_runner.observe.snapshot import Snapshot


@dataclass
class CommonOptions:
    fresh: bool = False
    work: bool = True
    local: bool = False
    exits: bool = False
    spare: object = None


@dataclass
class Result:
    exit_code: ExitCode
    snapshot: Snapshot
    lost: int = 0


class Head:
    """Stands for the real one: a run that ends as told, at once."""

    def __init__(self) -> None:
        self.options: CommonOptions | None = None
        self.fault: Exception | None = None
        self.exit_code = ExitCode.OK

    def run(self, pipeline: Pipeline, screen: Screen, options: CommonOptions) -> Result:
        self.options = options
        screen.snapshot(run())
        if self.fault:
            raise self.fault
        final = run(state="finished")
        screen.close(final, 0)
        return Result(self.exit_code, final)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Head:
    found = Head()
    module = types.ModuleType("pipeline_runner.head.run")
    module.run = found.run  # type: ignore[attr-defined]
    module.UpOptions = CommonOptions  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipeline_runner.head.run", module)
    return found


def test_up_says_what_survives_then_how_it_went(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    ended = runner("up", "--no-import")
    assert (ended.code, ended.out) == (0, "")
    assert "kept in memory only" in ended.err.splitlines()[0]
    assert "thumbs finished after 14m02s" in ended.err
    assert head.options == CommonOptions(fresh=False, work=True, local=True, exits=True)


def test_up_json_prints_the_last_snapshot_on_stdout(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    ended = runner("up", "--no-import", "--json", "--ui", "none")
    assert json.loads(ended.out)["state"] == "finished"
    assert ended.err == ""


def test_up_exits_as_the_run_did(runner: Callable[..., Any], project: Path, head: Head) -> None:
    head.exit_code = ExitCode.INTERRUPTED
    assert runner("up", "--no-import").code == 130


def test_a_lock_without_a_head_that_answers_is_told_in_its_words(
    runner: Callable[..., Any], project: Path, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_runner.cli.attach._STARTING_S", 0.0)
    head.fault = AlreadyRunning("squares runs already, pid 42", hint="runner ps")
    ended = runner("up", "--no-import")
    assert ended.code == 2
    assert "error: squares runs already, pid 42\nhint: runner ps\n" in ended.err


def test_a_head_that_fails_leaves_the_terminal_as_it_was(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.fault = UsageError("the port is taken")
    ended = runner("up", "--no-import", "--ui", "live")
    assert ended.err.rindex("\x1b[?25h") > ended.err.rindex("\x1b[?25l")


def test_up_does_not_start_what_cannot_be_imported(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    (project / "functions.py").write_text("import a_module_nobody_has\n")
    ended = runner("up")
    assert ended.code == 1
    assert "a_module_nobody_has" in ended.err
    assert head.options is None


def test_fresh_needs_a_yes_only_when_there_is_something_to_forget(
    runner: Callable[..., Any],
    project: Path,
    head: Head,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert runner("up", "--no-import", "--fresh").code == 0
    assert head.options == CommonOptions(fresh=True, local=True, exits=True)
    journal = project / ".runner" / "squares" / "journal"
    journal.parent.mkdir(parents=True)
    journal.touch()
    head.options = None
    assert runner("up", "--no-import", "--fresh").code == 2
    assert head.options is None
    assert runner("up", "--no-import", "--fresh", "--yes", "--no-work").code == 0
    assert head.options == CommonOptions(fresh=True, work=False, local=True, exits=True)


READY = (
    "import json, os, sys; print(*sys.argv[1:]);"
    "open('.runner/squares/head.json', 'w').write(json.dumps({'pid': os.getpid()}))"
)
DIES = "import sys; print('error: the port is taken'); sys.exit(2)"


def test_detached_returns_when_the_head_answers_and_says_how_to_look(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached, "_ENTRY", READY)
    ended = runner("up", "-d", "--no-import", "--no-work")
    assert ended.code == 0
    assert "squares runs in the background, pid " in ended.err
    assert "look at it:  runner ps\n" in ended.err
    assert "stop it:     runner down\n" in ended.err
    assert "its words:   .runner/squares/logs/up.log" in ended.err
    assert (project / ".runner/squares").stat().st_mode & 0o777 == 0o700


def test_detached_passes_its_options_on(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached, "_ENTRY", f"{READY}; sys.exit(4)")
    facts = json.loads(runner("up", "--detach", "--no-import", "--no-work", "-v", "--json").out)
    assert facts["pid"] > 0
    assert facts["log"].endswith(".runner/squares/logs/up.log")


def test_detached_shows_the_last_words_of_a_head_that_ended(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached, "_ENTRY", DIES)
    ended = runner("up", "-d", "--no-import")
    assert ended.code == 2
    assert ended.err == "error: the port is taken\n"


def test_an_address_that_a_crashed_head_left_is_not_believed(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = project / ".runner" / "squares"
    state.mkdir(parents=True)
    (state / "head.json").write_text('{"pid": 1}')
    monkeypatch.setattr(detached, "_ENTRY", DIES)
    assert runner("up", "-d", "--no-import").code == 2


def test_up_says_the_warnings_of_the_file_and_runs_it_all_the_same(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("processes = 2", 'processes = 2\nrestart = "again"'))
    ended = runner("up", "--no-import")
    assert ended.code == 0
    assert "warning[no-effect]" in ended.err
    assert "warning" not in runner("up", "--no-import", "-q").err
