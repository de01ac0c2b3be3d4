"""What is wrong with the files of a project, said before anything runs."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from pipeline_runner.config.callable_checks import check_callables
from pipeline_runner.config.faults import Fault, once, placed
from pipeline_runner.sync.paths import parents
from pipeline_runner.sync.scan import about
from pipeline_runner.sync.survey import LARGE_BYTES, MANY_FILES, is_everything, survey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from pipeline_runner.config.callables import ImportFault, ProbeResult
    from pipeline_runner.config.locate import KeyPath, Locator
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import Problem
    from pipeline_runner.sync.survey import Survey
    from pipeline_runner.sync.walk import Left

_SHOWN = 10
_LET_TRAVEL = "workers run a copy of the project: let the file travel (runner files)"
_MAX_FILE = ("sync", "max_file")


def check_project(
    pipeline: Pipeline,
    results: Mapping[str, ProbeResult],
    locator: Locator,
    faulty: Collection[KeyPath] = (),
) -> tuple[Problem, ...]:
    """Return what is wrong with the files of ``pipeline`` and with what was imported of them.

    ``results`` are what was found at each stage's ``run``, in a copy of what travels; ``faulty``
    is where the file has errors. What comes of a file that does not travel is told as that alone.
    """
    explained: set[str] = set()
    files: list[Fault] = []
    if not {path[0] for path in faulty} & {"sync", "server"}:  # they say what travels
        files = [*_faults(pipeline, results, explained)]
    rest = {name: result for name, result in results.items() if name not in explained}
    return (*placed(files, locator), *check_callables(pipeline, rest, locator, faulty))


def _faults(
    pipeline: Pipeline, results: Mapping[str, ProbeResult], explained: set[str]
) -> Iterator[Fault]:
    root = pipeline.root.resolve()
    if is_everything(pipeline):
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
    behind = functools.cache(functools.partial(_left_behind, found, root))
    missed = functools.cache(functools.partial(_missed, found, root))
    told: list[Fault] = []
    for name, stage in pipeline.stages.items():
        module, result = stage.run.partition(":")[0], results.get(name)
        path = ("stages", name, "run")
        found_out = behind(module) or missed(module, None if result is None else result.fault)
        if found_out is not None:
            fault: Fault | None = Fault("left-behind", found_out[0], path, found_out[1])
        else:
            fault = None if "PYTHONPATH" in stage.env else _in_src(root, name, stage.run, result)
        if fault is None:
            continue
        if fault.severity == "error":
            explained.add(name)
        told.append(fault)
    yield from once(told)


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


def _left_behind(found: Survey, root: Path, module: str) -> tuple[str, str] | None:
    """A module of the project that does not travel would be missing on every host."""
    below = module.replace(".", "/")
    for path in (f"{below}/__init__.py", f"{below}.py"):
        if not os.path.isfile(root / path):  # noqa: PTH113  (of a name too long, Path raises)
            continue
        if path in found.files:
            return None
        above = {path, *parents(path)}
        why = next((left.why for left in found.left if left.path in above), "it is a link")
        return f"{path} does not travel to the hosts: {why}", _LET_TRAVEL
    return None


def _missed(
    found: Survey, root: Path, module: str, fault: ImportFault | None
) -> tuple[str, str] | None:
    """Return what ``module`` looked for in vain, because it does not travel; and the cure."""
    wanted = () if fault is None else fault.wanted
    left = hidden(found.left, [path for path in wanted if _is_there(root, path)])
    if fault is None or left is None:
        return None
    path = f"{left.path}/" if left.is_folder else left.path
    message = f"{module} needs {path}, which does not travel to the hosts: {left.why}"
    return message, f"at {fault.place}; {_LET_TRAVEL}" if fault.place else _LET_TRAVEL


def _is_there(root: Path, path: str) -> bool:
    """Whether the project has a file, a module or a package at ``path``.

    A folder of other things is none: `build/` is not what `import build` looks for.
    """
    if os.path.isfile(root / path) or os.path.isfile(root / f"{path}.py"):  # noqa: PTH113
        return True
    inside = root / path
    return os.path.isdir(inside) and any(  # noqa: PTH112
        True for pattern in ("*.py", "*/*.py") for _ in inside.glob(pattern)
    )


def hidden(left: Iterable[Left], wanted: Collection[str]) -> Left | None:
    """Return which of the paths that do not travel would have been one of ``wanted``.

    Those are paths; of a module without its ending.
    """
    for each in left:
        for path in wanted:
            is_it = path == each.path or (each.is_folder and path.startswith(f"{each.path}/"))
            if is_it or each.path.startswith((f"{path}.", f"{path}/")):
                return each
    return None


def _in_src(root: Path, stage: str, run: str, result: ProbeResult | None) -> Fault | None:
    """What is found here because it is installed so is found on no other host."""
    package = run.partition(":")[0].partition(".")[0]
    here = [root / package, root / f"{package}.py"]
    there = [root / "src" / package, root / "src" / f"{package}.py"]
    if any(map(os.path.exists, there)) and not any(map(os.path.exists, here)):
        fault = None if result is None else result.fault
        is_lost = fault is not None and fault.kind == "absent"
        return Fault(
            "elsewhere",
            f"{package} is in src/, and workers look for modules beside this file",
            ("stages", stage, "run"),
            'env = { PYTHONPATH = "src" } in [defaults] has them look there, on every host',
            severity="error" if is_lost else "warning",
        )
    return None
