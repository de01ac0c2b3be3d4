"""The pipeline file as a model: every key, its type, its default and its meaning.

This is the one source of the JSON schema, of ``runner explain`` and of the defaults. A model is
what the file *says*; what the graph makes of it (kinds, neighbours) is ``Pipeline``'s properties.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (pydantic reads it at run time)
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline_runner.config.units import Duration, Percent, Rate, Size

StageKind = Literal["source", "map", "sink"]


class Model(BaseModel):
    """A frozen table of the file; an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Retry(Model):
    """How often and how patiently a failed item is tried again."""

    attempts: Annotated[int, Field(ge=1)] = 3
    backoff: Duration = 1.0
    factor: Annotated[float, Field(ge=1)] = 2.0
    cap: Duration = 60.0


class Batch(Model):
    """How many items the callable gets at once: a list of at most ``count``."""

    count: Annotated[int, Field(ge=1)]
    bytes: Size | None = None
    period: Duration | None = None


class Autoscale(Model):
    """A total between ``min`` and ``max``, so that the backlog clears in about ``target``."""

    min: Annotated[int, Field(ge=0)] = 1
    max: Annotated[int, Field(ge=1)]
    target: Duration = 20.0


class Affinity(Model):
    """Hosts for which ``if`` holds score ``weight``; it prefers, and never blocks."""

    if_: Annotated[str, Field(alias="if")]
    weight: Annotated[int, Field(ge=-100, le=100)] = 50


class Settings(Model):
    """The settings a stage and ``[defaults]`` share."""

    processes: Annotated[int, Field(ge=0)] | None = None
    per_host: Annotated[int, Field(ge=0)] | str | dict[str, Annotated[int, Field(ge=0)] | str] | None = None
    autoscale: Autoscale | None = None
    constraints: tuple[str, ...] = ()
    affinity: tuple[Affinity, ...] = ()
    max_per_host: Annotated[int, Field(ge=1)] | None = None
    spread: Literal["host", "pack"] = "host"
    batch: Batch | None = None
    concurrency: Annotated[int, Field(ge=1)] = 10
    timeout: Duration | None = None
    max_items: Annotated[int, Field(ge=1)] | None = None
    max_memory: Size | None = None
    env: dict[str, str] = {}
    retry: Retry = Retry()
    on_failure: Literal["dead-letter", "drop", "stop"] = "dead-letter"
    rate_limit: Rate | None = None
    restart: Literal["resume", "again"] = "resume"


class Stage(Settings):
    """One stage: a callable and how it is run."""

    run: str
    was: str | None = None


class Edge(Model):
    """A bounded queue from one stage to another."""

    from_: Annotated[str, Field(alias="from")]
    to: str
    name: str = ""  # filled with "from->to"
    capacity: Annotated[int, Field(ge=1)] | Size = 10_000  # items; a size is `capacity_bytes`
    tags: tuple[str, ...] = ()
    on_remove: Literal["drain", "drop"] = "drain"


class HostGroup(Model):
    """A named group of hosts: who its members are, and the labels they get."""

    match: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class Sync(Model):
    """Which files travel."""

    include: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_file: Size = 2 * 1024**3


class Reload(Model):
    """What a change of the code does."""

    code: Literal["rolling", "manual", "off"] = "rolling"
    max_parallel: Percent = 0.25
    min_healthy: Duration = 10.0
    auto_revert: bool = True
    grace: Duration = 30.0


class Server(Model):
    """Where the head listens and what it keeps."""

    bind: str = "0.0.0.0"  # noqa: S104  (the documented default; nothing listens before TLS)
    port: int | None = None
    plain: bool = False
    web: str | Literal[False] | None = None
    state: str = ".runner"
    memory: Size = 256 * 1024**2
    max_item: Size = 64 * 1024**2
