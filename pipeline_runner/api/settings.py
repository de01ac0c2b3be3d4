"""The tables of the file as types, for pipelines that are made in code.

The keys and values are those of the file, so ``runner explain stages.KEY`` tells what each means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

Run = str | Callable[..., Any]
"""A stage's callable: itself, or the text ``"module:callable"``."""

_Tables = Sequence[Mapping[str, str | int]]


class Settings(TypedDict, total=False):
    """What ``[defaults]`` and a stage may say. Times, sizes and rates are text with a unit."""

    processes: int
    per_host: int | str | Mapping[str, int | str]
    autoscale: Mapping[str, int | str]
    constraints: Sequence[str]
    affinity: _Tables
    max_per_host: int
    spread: Literal["host", "pack"]
    batch: Mapping[str, int | str]
    concurrency: int
    timeout: str
    max_items: int
    max_memory: str
    env: Mapping[str, str]
    retry: Mapping[str, int | float | str]
    on_failure: Literal["dead-letter", "drop", "stop"]
    rate_limit: str
    restart: Literal["resume", "again"]


class _Stage(TypedDict):
    run: Run


class StageSettings(_Stage, Settings, total=False):
    """A stage: ``{"run": function, "processes": 4}``."""

    was: str


_Ends = TypedDict("_Ends", {"from": str, "to": str})


class EdgeSettings(_Ends, total=False):
    """An edge: ``{"from": "list", "to": "decode", "capacity": 100}``."""

    name: str
    capacity: int | str
    tags: Sequence[str]
    on_remove: Literal["drain", "drop"]
