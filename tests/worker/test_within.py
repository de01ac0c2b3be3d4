"""A pipeline that would run whenever its modules are imported, or inside its own workers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import RUNNER, chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project

DOCUMENT = stage("numbers", "functions:numbers") + stage("keep", "kept:keep")
DOCUMENT += chain("numbers", "keep")
IMPORTED = """\
from kept import note

note("imported")


def numbers():
    yield from range(3)


"""
RUN = "Pipeline.from_toml('pipeline.toml').run()\n"
CALLS = {
    "run": f"from pipeline_runner import Pipeline\n{RUN}",
    "arun": (
        "import asyncio\nfrom pipeline_runner import Pipeline\n"
        "asyncio.run(Pipeline.from_toml('pipeline.toml').arun())\n"
    ),
}
GUARD = 'put the call under `if __name__ == "__main__":`'


def imports(project: Project) -> int:
    return len([note for note in project.notes() if note[0] == "imported"])


@pytest.mark.parametrize("call", CALLS)
def test_a_module_that_runs_its_pipeline_when_imported_is_a_fault_with_its_cure(
    project: Project, call: str
) -> None:
    project.write(IMPORTED + CALLS[call], DOCUMENT)
    ended = project.up("--local")
    assert ended.code == 1
    assert "p would run each time that a module of a stage is imported" in ended.err
    assert GUARD in ended.err
    assert imports(project) == 1


def test_a_worker_refuses_it_too(project: Project) -> None:
    project.write(IMPORTED + CALLS["run"], DOCUMENT)
    run = project.start("--local", "--ui", "plain", "--no-import")
    lines = iter(run.popen.stderr.readline, "")  # type: ignore[union-attr]
    told = next(line for line in lines if "next start in" in line)
    assert GUARD in told
    run.end()
    assert imports(project) <= 3  # each of them a worker's that was started again


def test_a_script_without_a_guard_says_so(project: Project) -> None:
    project.write(IMPORTED + CALLS["run"], DOCUMENT)
    ran = subprocess.run(
        [sys.executable, "functions.py"],
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert GUARD in ran.stderr
    assert imports(project) == 2  # the script's own, and that of the interpreter that looked


@pytest.mark.parametrize("verb", ["up --local", "up --local --no-import", "check"])
def test_a_command_that_a_module_starts_when_imported_does_not_nest(
    project: Project, verb: str
) -> None:
    words = [RUNNER, *verb.split(), "-f", str(project.root / "pipeline.toml")]
    call = f"import subprocess\nnote('nested', subprocess.run({words!r}).returncode)\n"
    project.write(IMPORTED + call, DOCUMENT)
    ended = project.up("--local")
    assert ended.code == 0, ended.err
    assert project.kept() == [0, 1, 2]
    assert {note[1] for note in project.notes() if note[0] == "nested"} == {2}
    assert imports(project) == 2  # of the interpreter that looked, and of the one worker


def test_a_stage_may_run_another_pipeline(project: Project) -> None:
    inner = '[pipeline]\nname = "inner"\ndurability = "memory"\n'
    inner += stage("letters", "letters:letters") + stage("keep", "letters:keep")
    inner += chain("letters", "keep")
    path = str(project.root / "inner.toml")
    words = [RUNNER, "up", "--local", "-f", path]
    functions = IMPORTED + (
        f"def runs(number):\n    import subprocess\n"
        f"    return subprocess.run({words!r}).returncode\n"
    )
    document = stage("numbers", "functions:numbers") + stage("runs", "functions:runs")
    document += stage("keep", "kept:keep") + chain("numbers", "runs", "keep")
    letters = "def letters():\n    yield from 'ab'\n\n\ndef keep(letter):\n    pass\n"
    project.write(functions, document, more={"letters": letters})
    (project.root / "inner.toml").write_text(inner)
    ended = project.up("--local")
    assert ended.code == 0, ended.err
    assert project.kept() == [0, 0, 0]
