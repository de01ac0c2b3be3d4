"""Where the head of a question is: in a state folder here, or on another machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline_runner.cli import project
from pipeline_runner.cli.options import DEFAULT_FILE
from pipeline_runner.errors import NoHead, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.cli.options import CommonOptions
    from pipeline_runner.cluster.discovery import Found
    from pipeline_runner.wire.endpoint import Endpoint

_SEARCH_S = 2.0


def head_of(common: CommonOptions) -> Path | Endpoint:
    """Return the state folder of the pipeline that is asked about, or the door of its head.

    A head here goes before one elsewhere, which is looked for with the keys of this machine; with
    RUNNER_LOCAL nothing is. Raises UsageError or NoHead.
    """
    here: Path | None = None
    named = common.file.is_file() or common.file != DEFAULT_FILE
    if not common.pipeline and (named or not _asks()):
        here = project.state_dir(common.file)
        if project.head_pid(here) is not None:
            return here
    door = _door(common, here) if _asks() else None
    if door is not None:
        return door
    if here is not None:
        return here
    if common.pipeline:
        raise NoHead(
            f"no head of {common.pipeline} answers on the network",
            hint="is `runner up` running? -f FILE asks about one on this machine",
        )
    raise NoHead(
        f"there is no {DEFAULT_FILE} here, and no head answers on the network",
        hint="-f FILE names the pipeline; `runner init hello` makes one",
    )


def _asks() -> bool:
    """Whether there are heads elsewhere that this machine may ask."""
    from pipeline_runner.cluster.identity import known

    return not os.environ.get("RUNNER_LOCAL") and bool(known())


def _door(common: CommonOptions, here: Path | None) -> Endpoint | None:
    from pipeline_runner.cluster.discovery import door_of, find
    from pipeline_runner.cluster.identity import known
    from pipeline_runner.wire.endpoint import Endpoint

    name = common.pipeline or ("" if here is None else here.name)
    keys = [one for one in known() if not name or one.name in ("", name)]
    if not keys:
        return None
    found = find(keys, name=name or None, timeout_s=_SEARCH_S)
    if len(found) > 1:
        raise _which(found)
    return Endpoint.from_json(door_of(found[0])) if found else None


def _which(found: list[Found]) -> UsageError:
    lines = [f"{one.name} at {one.host}:{one.port} ({one.machine})" for one in found]
    if len({one.name for one in found}) == 1:
        return UsageError(
            "\n  ".join(["several heads answer:", *lines]), hint="stop all of them but one"
        )
    return UsageError(
        "\n  ".join(["several pipelines run:", *lines]), hint="--pipeline NAME says which one"
    )
