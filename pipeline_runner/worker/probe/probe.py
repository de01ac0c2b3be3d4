"""Looks at user code from a safe distance: another interpreter imports it and reports facts.

Whatever a module does when it is imported (print, hang, ``os._exit``, start processes) happens in
that interpreter. It writes what it found to a file, a line at a time, so that what it knew before
it died is known here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.config.callables import ImportFault, ProbeResult
from pipeline_runner.sync.scratch import scratch_copy
from pipeline_runner.sync.survey import is_everything
from pipeline_runner.worker import nested_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_runner.config.pipeline import Pipeline

_POLL_S = 0.01


def probe(
    pipeline: Pipeline, timeout_s: float, meanwhile: Callable[[], object] | None = None
) -> dict[str, ProbeResult]:
    """Return what is at the ``run`` of each stage; ``meanwhile()`` is called while that is tried.

    Stages with the same ``env`` share an interpreter, which gets ``timeout_s`` seconds; where one
    is lost, another takes over with the stages that were left. Ends every process it started.

    Raises NestedRun where a worker of the same pipeline, or an import of its modules, asks.
    """
    nested_runs.refuse(pipeline.name)
    groups: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for name, stage in pipeline.stages.items():
        groups.setdefault(tuple(sorted(stage.env.items())), {})[name] = stage.run
    found: dict[str, ProbeResult] = {}
    with _project(pipeline) as project:
        for env, runs in groups.items():
            around = nested_runs.environment(pipeline.name) | dict(env)
            found.update(_probe_group(project, runs, around, timeout_s, meanwhile))
            meanwhile = None
    return {name: found[name] for name in pipeline.stages}


@dataclass(frozen=True, slots=True)
class _Project:
    """``root`` is where code is imported, ``home`` the project itself."""

    root: Path
    home: Path


@contextlib.contextmanager
def _project(pipeline: Pipeline) -> Iterator[_Project]:
    """Give a copy of what workers get. A pipeline without a file runs in its folder itself."""
    home = pipeline.file.resolve().parent
    if not pipeline.file.is_file() or is_everything(pipeline):
        yield _Project(home, home)
        return
    with tempfile.TemporaryDirectory(prefix="runner-probe-", ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / (home.name or "project")
        try:
            scratch_copy(pipeline, root)
        except OSError:  # the disk is full, say: then as well as can be
            root = home
        yield _Project(root, home)


def _probe_group(
    project: _Project,
    runs: dict[str, str],
    env: dict[str, str],
    timeout_s: float,
    meanwhile: Callable[[], object] | None,
) -> dict[str, ProbeResult]:
    found: dict[str, ProbeResult] = {}
    left = dict(runs)
    while left:
        results, begun, end = _interpret(project, left, env, timeout_s, meanwhile)
        meanwhile = None
        found.update(results)
        culprit = begun if begun in left and begun not in results else None
        lost = [name for name in left if name not in found]
        if culprit is None and lost and not results:
            culprit = lost[0]  # it never came to begin: do not try for ever
        if culprit is not None:
            # What happened to one stage's module happens to every stage of that module.
            module = left[culprit].partition(":")[0]
            for name in lost:
                if left[name].partition(":")[0] == module:
                    found[name] = ProbeResult(fault=end)
        left = {name: run for name, run in left.items() if name not in found}
    return found


def _interpret(
    project: _Project,
    runs: dict[str, str],
    env: dict[str, str],
    timeout_s: float,
    meanwhile: Callable[[], object] | None,
) -> tuple[dict[str, ProbeResult], str | None, ImportFault]:
    """Return the results, the stage that was begun last, and how the interpreter ended."""
    with tempfile.TemporaryDirectory(prefix="runner-probe-") as folder:
        request, report = Path(folder, "request.json"), Path(folder, "report.jsonl")
        asked = {
            "root": str(project.root),
            "copy": project.root != project.home,
            "runs": runs,
            "parent": os.getpid(),
        }
        request.write_text(json.dumps(asked), encoding="utf-8")
        report.touch()
        # It starts in a folder without modules: before our own imports, a user's queue.py must
        # not be found in place of the standard library's.
        try:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pipeline_runner.worker.probe.inspect_callables",
                    str(request),
                    str(report),
                ],
                cwd=folder,
                env=_environment(env, project),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:  # the environment is too large, or the system has no process left
            return {}, None, ImportFault("died", f"it does not start: {error.strerror}")
        end = _await_end(process, timeout_s, meanwhile)
        lines = report.read_text(encoding="utf-8").splitlines()
    results: dict[str, ProbeResult] = {}
    begun = None
    for line in lines:
        record = json.loads(line)
        begun = record["stage"]
        if record["result"] is not None:
            results[begun] = ProbeResult.from_json(record["result"])
    return results, begun, end


def _environment(env: dict[str, str], project: _Project) -> dict[str, str]:
    """The environment a worker of these stages would have."""
    inherited = {name: value for name, value in os.environ.items() if name != "RUNNER_KEY"}
    if "PYTHONPATH" in env:  # a worker starts in the project, and reads its folders from there
        folders = [
            os.fspath(project.root / folder) for folder in env["PYTHONPATH"].split(os.pathsep)
        ]
        env = {**env, "PYTHONPATH": os.pathsep.join(folders)}
    return {**inherited, "PYTHONSAFEPATH": "1", "RUNNER_OUTPUT": os.fspath(project.home), **env}


def _await_end(
    process: subprocess.Popen[bytes], timeout_s: float, meanwhile: Callable[[], object] | None
) -> ImportFault:
    """Wait for the end, then end whatever the interpreter had started, and itself if need be."""
    deadline = time.monotonic() + timeout_s
    try:
        if meanwhile is not None:
            meanwhile()
        while not _ended(process.pid):
            if time.monotonic() >= deadline:
                return ImportFault("timeout", f"{timeout_s:g} s")
            time.sleep(_POLL_S)
    finally:
        # Not yet reaped, so the group still has its number and no other can have taken it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    code = process.returncode
    return ImportFault("died", signal.Signals(-code).name if code < 0 else f"exit code {code}")


def _ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
