"""Where a pipeline's run keeps its state, found without judging the whole file.

``ps``, ``down`` and ``errors`` must work while the file is being edited and is wrong for a moment.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import InvalidPipeline, UsageError

if TYPE_CHECKING:
    import click

    from pipeline_runner.config.pipeline import Pipeline


# What keeps a file from being TOML; of tomli's own, a ValueError.
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_UNREADABLE = (ValueError, OSError, LookupError, TypeError, AttributeError, RecursionError)


def existing(file: Path) -> Path:
    """Return ``file`` if it can be one. Raises UsageError, with what to do, if it is not there."""
    if os.path.isfile(file):  # noqa: PTH113  (of a name too long, Path raises)
        return file
    if os.path.isdir(file):  # noqa: PTH112
        raise UsageError(f"{file} is a folder", hint=f"name the file: {file / 'pipeline.toml'}")
    found = [path for path in file.parent.glob("*.toml") if path.is_file()]
    near = sorted(path.name for path in found if path.name != "pyproject.toml")
    if near:
        raise UsageError(f"there is no {file}", hint=f"this folder has {', '.join(near[:5])}")
    below = sorted(path.parent for path in file.parent.glob(f"*/{file.name}") if path.is_file())
    if below:
        some = ", ".join(str(folder) for folder in below[:5])
        raise UsageError(
            f"there is no {file}",
            hint=f"folders below that have one: {some}; name it: -f {quote(str(below[0]))}",
        )
    raise UsageError(f"there is no {file}", hint="`runner init hello` makes a project that runs")


def load(file: Path) -> Pipeline:
    """Return the pipeline of ``file``. Raises InvalidPipeline or UsageError."""
    from pipeline_runner.config.parse import load as load_file

    return load_file(existing(file), os.environ)


def edge_names(file: Path) -> tuple[str, ...] | None:
    """Return the names of the file's edges; None while it has faults."""
    try:
        return tuple(edge.name for edge in load(file).edges)
    except (InvalidPipeline, UsageError):
        return None


def stages_of(file: Path) -> tuple[str, ...] | None:
    """Return the names of the file's stages; None while it has faults."""
    try:
        return tuple(load(file).stages)
    except (InvalidPipeline, UsageError):
        return None


def stage_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the stages a shell may complete to; none if the file cannot be read right now."""
    del param
    import tomli

    named = (ctx.params.get("named_file"), ctx.params.get("bare_file"))
    file = next(filter(None, (*named, ctx.find_root().params.get("first_file"))), None)
    file = file or Path("pipeline.toml")
    try:
        stages = list(tomli.loads(file.read_text(encoding="utf-8"))["stages"])
    except _UNREADABLE:
        return []
    return [stage for stage in stages if stage.startswith(incomplete)]


def state_dir(file: Path) -> Path:
    """Return the state folder of ``file``'s pipeline, even if the file has faults elsewhere.

    Raises UsageError if there is no such file, InvalidPipeline if not even its name can be read.
    """
    import tomli

    try:
        document = tomli.loads(existing(file).read_text(encoding="utf-8"))
        name, state = _name_and_state(document)
    except _UNREADABLE:
        return _by_running_head(file) or load(file).state_dir
    return file.resolve().parent / state / name


def _name_and_state(document: dict[str, Any]) -> tuple[str, str]:
    from pipeline_runner.config.settings_checks import LONGEST_NAME, is_no_path

    name, state = document["pipeline"]["name"], document.get("server", {}).get("state", ".runner")
    if not isinstance(name, str) or not isinstance(state, str):
        raise TypeError
    if "$" in name + state:
        raise LookupError  # a variable of the environment: only the whole reader fills it in
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or is_no_path(state):
        raise ValueError  # what is done in that folder would be done somewhere else
    return name, state


def _by_running_head(file: Path) -> Path | None:
    """Return the state folder beside ``file`` in which a head left its address, if only one has."""
    try:
        heads = list(file.resolve().parent.glob(".runner/*/head.json"))
    except OSError:
        return None
    return heads[0].parent if len(heads) == 1 else None


def head_pid(state_dir: Path) -> int | None:
    """Return the pid of the head that lives in ``state_dir``, None if there is none.

    A head that was killed leaves its address behind; it does not count.
    """
    try:
        pid = json.loads((state_dir / "head.json").read_bytes())["pid"]
        os.kill(pid, 0)  # no signal: only asks whether it is there
    except PermissionError:
        return int(pid)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return int(pid)
