"""Checks of single settings that the model alone cannot judge, and of those without effect."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from pipeline_runner.config.faults import Fault, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.config.locate import KeyPath
    from pipeline_runner.config.model import File, Model, Settings
    from pipeline_runner.config.validate import Draft

ENGINES = ("embedded",)

LONGEST_NAME = 200  # characters; it is a folder's name here, and a part of one packet
_LONGEST_FILE = 255  # bytes of a name that file systems take
_LONGEST_STATE = 3000  # bytes; a path has 4,095 with the project's folder and what is inside
_LONGEST_VARIABLE = 128 * 1024  # bytes; Linux starts no process with a longer one
_RUN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_AT_NEXT_UP = "a change takes effect at the next `runner up`"
NOT_YET: dict[tuple[str, ...], str] = {
    ("stages", "autoscale"): "the stage keeps its `min`",
    ("stages", "was"): _AT_NEXT_UP,
    ("edges", "on_remove"): "what an edge holds that is taken out is parked, and never deleted",
    ("reload", "code"): _AT_NEXT_UP,
    ("reload", "max_parallel"): _AT_NEXT_UP,
    ("reload", "min_healthy"): _AT_NEXT_UP,
    ("reload", "auto_revert"): _AT_NEXT_UP,
    ("server", "web"): "this version has no page",
}
"""Keys that are read and do nothing in this version, and why."""


def check_settings(draft: Draft) -> list[Fault]:
    """Return what is wrong with single settings, and a note for each that does nothing yet."""
    return [*_header(draft.file), *_stages(draft.file), *_without_effect(draft)]


def _header(file: File) -> Iterator[Fault]:
    engine = file.pipeline.engine
    if engine not in ENGINES:
        path = ("pipeline", "engine")
        hint = did_you_mean(engine, ENGINES) or 'the only engine is "embedded"'
        yield Fault("unknown-engine", f'there is no engine "{engine}"', path, hint)
    if len(file.pipeline.name) > LONGEST_NAME:
        message = f"a pipeline's name has at most {LONGEST_NAME} characters"
        yield Fault("bad-name", message, ("pipeline", "name"))
    if is_no_path(file.server.state):
        message = "the path is longer than file systems take"
        yield Fault(
            "bad-value", message, ("server", "state"), "another folder, relative to this file"
        )


def is_no_path(text: str) -> bool:
    """Whether no folder can be called so, below a project's."""
    path = os.fsencode(text)
    too_long = len(path) > _LONGEST_STATE or any(len(n) > _LONGEST_FILE for n in path.split(b"/"))
    return too_long or b"\0" in path


def _stages(file: File) -> Iterator[Fault]:
    yield from _variables(("defaults",), file.defaults)
    fed = {edge.to for edge in file.edges}
    for name, stage in file.stages.items():
        path = ("stages", name)
        yield from _variables(path, stage)
        if _RUN.fullmatch(stage.run) is None:
            message = f'"{stage.run}" is not `module:callable`'
            yield Fault("bad-run", message, (*path, "run"), _run_hint(stage.run))
        if name in fed and stage.restart == "again":
            message = "`restart` has no effect here: only a source begins again"
            yield Fault("no-effect", message, (*path, "restart"), at="key", severity="warning")
        if name not in fed and "batch" in stage.model_fields_set and file.edges:
            message = "`batch` has no effect here: a source takes no items"
            yield Fault("no-effect", message, (*path, "batch"), at="key", severity="warning")
        if stage.was is not None and stage.was in file.stages:
            message = f'`was` names the former name, and "{stage.was}" is still a stage'
            yield Fault("bad-rename", message, (*path, "was"))


def _variables(path: KeyPath, table: Settings) -> Iterator[Fault]:
    for name, value in table.env.items():
        if _VARIABLE.fullmatch(name) is None:
            message = f'"{name}" is not an environment variable\'s name'
            yield Fault("bad-name", message, (*path, "env", name), at="key")
        elif len(os.fsencode(f"{name}={value}")) >= _LONGEST_VARIABLE:
            message = f"an environment variable has less than {_LONGEST_VARIABLE // 1024} KiB"
            yield Fault("bad-value", message, (*path, "env", name), "put it into a file")


def _run_hint(run: str) -> str:
    module, _, attribute = run.rpartition(":") if ":" in run else run.rpartition(".")
    guess = f"{module.removesuffix('.py').strip('./').replace('/', '.')}:{attribute}"
    if _RUN.fullmatch(guess):
        return f'did you mean "{guess}"?'
    return 'a dotted module, a colon, a name in it: "app.images:decode"'


def _without_effect(draft: Draft) -> Iterator[Fault]:
    file = draft.file
    tables: list[tuple[str, KeyPath, Model]] = [
        ("pipeline", ("pipeline",), file.pipeline),
        ("stages", ("defaults",), file.defaults),
        *(("stages", ("stages", name), stage) for name, stage in file.stages.items()),
        *(
            ("edges", ("edges", row), edge)
            for row, edge in zip(draft.edge_rows, file.edges, strict=True)
        ),
        ("sync", ("sync",), file.sync),
        ("reload", ("reload",), file.reload),
        ("server", ("server",), file.server),
    ]
    for table, path, model in tables:
        for key in sorted(model.model_fields_set):
            reason = NOT_YET.get((table, key))
            if reason is not None and getattr(model, key) is not False:
                message = f"`{key}` has no effect yet: {reason}"
                yield Fault("not-yet", message, (*path, key), at="key", severity="note")
