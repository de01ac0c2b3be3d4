"""What is wrong with the files of a project, said before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.config.faults import Fault, placed
from pipeline_runner.sync.paths import parents
from pipeline_runner.sync.scan import about
from pipeline_runner.sync.survey import LARGE_BYTES, MANY_FILES, survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.config.locate import Locator
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import Problem
    from pipeline_runner.sync.survey import Survey

_SHOWN = 10
_MAX_FILE = ("sync", "max_file")


def check_files(pipeline: Pipeline, locator: Locator) -> tuple[Problem, ...]:
    """Return what there is to say about the files of ``pipeline``, each fault in its place."""
    return placed(_faults(pipeline), locator)


def _faults(pipeline: Pipeline) -> Iterator[Fault]:
    root = pipeline.root.resolve()
    if not pipeline.sync.include and root in (Path.home().resolve(), Path(root.anchor)):
        yield Fault(
            "bad-project",
            f"the project would be all of {root}: every host gets what is beside this file",
            ("pipeline",),
            "put the file into a folder of its own, or name what travels: `include` in [sync]",
            at="key",
        )
        return
    try:
        found = survey(pipeline)
    except OSError as error:
        message = f"{root} cannot be read: {error.strerror}"
        yield Fault("bad-project", message, ("pipeline",), at="key")
        return
    yield from _large_files(found, pipeline.sync.max_file)
    yield from _large_project(found)
    for name, stage in pipeline.stages.items():
        yield from _left_behind(found, root, name, stage.run)
        if "PYTHONPATH" not in stage.env:
            yield from _in_src(root, name, stage.run)


def _large_files(found: Survey, max_file: int) -> Iterator[Fault]:
    large = sorted((size, path) for path, size in found.files.items() if size > max_file)[::-1]
    for size, path in large[:_SHOWN]:
        yield Fault(
            "large-file",
            f"{path} is larger than max_file: {about(size)}, and at most {about(max_file)}",
            _MAX_FILE,
            f'leave it out: ignore = ["/{path}"] in [sync]; or raise max_file',
        )
    if len(large) > _SHOWN:
        message = f"{len(large) - _SHOWN:,} more files are larger than max_file"
        yield Fault("large-file", message, _MAX_FILE, "all of them: runner files --top")


def _large_project(found: Survey) -> Iterator[Fault]:
    if found.size_bytes > LARGE_BYTES:
        what = f"{about(found.size_bytes)} of files"
        folders = [f"{name} {about(size)}" for name, size in found.largest_folders(3)]
    elif len(found.files) > MANY_FILES:
        what = f"{len(found.files):,} files"
        folders = [f"{name} {count:,}" for name, count in found.fullest_folders(3)]
    else:
        return
    yield Fault(
        "large-project",
        f"every host gets {what}: {', '.join(folders)}",
        ("sync",),
        "`ignore` in [sync] leaves out what no stage reads; see all: runner files --top",
        at="key",
        severity="warning",
    )


def _left_behind(found: Survey, root: Path, stage: str, run: str) -> Iterator[Fault]:
    """A module of the project that does not travel would be missing on every host."""
    steps = run.partition(":")[0].split(".")
    below = "/".join(steps)
    for path in (f"{below}/__init__.py", f"{below}.py"):
        if not os.path.isfile(root / path):  # noqa: PTH113  (of a name too long, Path raises)
            continue
        if path not in found.files:
            above = {path, *parents(path)}
            why = next((left.why for left in found.left if left.path in above), "it is a link")
            yield Fault(
                "left-behind",
                f"{path} does not travel to the hosts: {why}",
                ("stages", stage, "run"),
                "workers run a copy of the project: let the file travel (runner files)",
            )
        return


def _in_src(root: Path, stage: str, run: str) -> Iterator[Fault]:
    """What is found here because it is installed so is found on no other host."""
    package = run.partition(":")[0].partition(".")[0]
    here = [root / package, root / f"{package}.py"]
    there = [root / "src" / package, root / "src" / f"{package}.py"]
    if any(map(os.path.exists, there)) and not any(map(os.path.exists, here)):
        yield Fault(
            "elsewhere",
            f"{package} is in src/, and workers look for modules beside this file",
            ("stages", stage, "run"),
            'env = { PYTHONPATH = "src" } in [defaults] has them look there, on every host',
            severity="warning",
        )
