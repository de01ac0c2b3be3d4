"""Pipelines inside pipelines: one may start another, and none may start itself.

A module that runs its pipeline when it is imported would do so in every worker of that pipeline,
and in each of theirs. So whoever imports user code says so here, and the processes that run it have
in their environment the names of the pipelines they are of.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline_runner.errors import NestedRun

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHIN = "RUNNER_WITHIN"  # names, outermost first, separated by commas

_importing = False


def environment(pipeline: str) -> dict[str, str]:
    """Return what the environment of a process that runs code of ``pipeline`` has more."""
    return {WITHIN: ",".join([*_names(), pipeline])}


@contextmanager
def importing() -> Iterator[None]:
    """Have no pipeline run for as long as this process imports the modules of stages."""
    global _importing
    _importing = True
    try:
        yield
    finally:
        _importing = False


def refuse(pipeline: str) -> None:
    """Raise NestedRun where ``pipeline`` must not be run or imported from."""
    if _importing:
        raise NestedRun(
            f"{pipeline} would run each time that a module of a stage is imported",
            hint='put the call under `if __name__ == "__main__":`',
        )
    if pipeline in _names():
        raise NestedRun(
            f"{pipeline} would run inside itself: one of its own workers has started this",
            hint='start it from outside, in a module under `if __name__ == "__main__":`;'
            " another pipeline needs a name of its own",
        )


def _names() -> list[str]:
    return list(filter(None, os.environ.get(WITHIN, "").split(",")))
