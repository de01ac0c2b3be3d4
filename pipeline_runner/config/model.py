"""The pipeline file as a model: every key, its type, its default and its meaning.

This is the one source of the JSON schema, of ``runner explain`` and of the defaults. A model is
what the file *says*; what the graph makes of it (kinds, neighbours) is :mod:`.pipeline`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline_runner.config.quantities import parse_size
from pipeline_runner.config.units import Duration, Percent, Rate, Size  # noqa: TC001  (pydantic)
from pipeline_runner.config.values import (  # noqa: TC001  (pydantic reads them at run time)
    Capacity,
    Factor,
    Flag,
    Natural,
    PerHost,
    Port,
    Positive,
    WebAddress,
    Weight,
)

StageKind = Literal["source", "map", "sink"]


class Model(BaseModel):
    """A frozen table of the file; an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Retry(Model):
    """How often and how patiently a failed item is tried again."""

    attempts: Positive = Field(default=3, description="How often an item is tried in all.")
    backoff: Duration = Field(default=1.0, description="The wait before the second attempt.")
    factor: Factor = Field(
        default=2.0, description="Each further wait is so many times the one before."
    )
    cap: Duration = Field(default=60.0, description="No wait is longer.")


class Batch(Model):
    """How many items the callable gets at once; it returns a list of the same length."""

    count: Positive = Field(description="At most so many items in a batch.")
    bytes: Size | None = Field(
        default=None, description="At most so many encoded bytes in a batch."
    )
    period: Duration | None = Field(
        default=None, description="A batch that is not full waits at most so long for more items."
    )


class Autoscale(Model):
    """A total of workers between `min` and `max` that follows the backlog."""

    min: Natural = Field(default=1, description="Never fewer workers in all.")
    max: Positive = Field(description="Never more workers in all.")
    target: Duration = Field(
        default=20.0, description="The backlog should clear in about this time."
    )


class Affinity(Model):
    """Hosts for which `if` holds are preferred (or avoided); it never blocks."""

    if_: Annotated[
        str,
        Field(alias="if", description="A constraint such as `label.disk == ssd`."),
    ]
    weight: Weight = Field(default=50, description="-100 (avoid) to 100 (prefer).")


class Settings(Model):
    """The settings a stage and `[defaults]` share."""

    processes: Natural | None = Field(
        default=None,
        description=(
            "Worker processes in all, over the eligible hosts. "
            "A source or sink has 1 unless it says otherwise."
        ),
        examples=[4],
    )
    per_host: PerHost | None = Field(
        default=None,
        description=(
            "Worker processes on every eligible host: a number, an expression over `cores` or "
            "`gpus`, or a table by host name, `@group`, glob or `*`. "
            "A stage that is neither source nor sink has 1 unless it says otherwise."
        ),
        examples=["cores-1", {"rig-7": 4, "@gpu": "gpus", "*": 0}],
    )
    autoscale: Autoscale | None = Field(
        default=None,
        description="A total that follows the backlog. Excludes `processes`.",
        examples=[{"min": 1, "max": 12, "target": "20s"}],
    )
    constraints: tuple[str, ...] = Field(
        default=(),
        description=(
            "A host is eligible when all of these hold. Attributes: host os arch python cores "
            "memory gpus head label.NAME; operators: == != < <= > >= ~ (glob) in."
        ),
        examples=[["os == linux", "memory >= 8GiB"]],
    )
    affinity: tuple[Affinity, ...] = Field(
        default=(),
        description=(
            "Which eligible hosts come first. "
            "A sink is drawn to the head unless it says otherwise, so that results gather there."
        ),
        examples=[[{"if": "label.disk == ssd", "weight": 50}]],
    )
    max_per_host: Positive | None = Field(
        default=None, description="Never more workers of this stage on one host.", examples=[2]
    )
    spread: Literal["host", "pack"] = Field(
        default="host", description="`host` spreads workers over the hosts, `pack` fills one first."
    )
    batch: Batch | None = Field(
        default=None,
        description="The callable gets a list of items and returns a list of the same length.",
        examples=[{"count": 32, "bytes": "64MiB", "period": "200ms"}],
    )
    concurrency: Positive = Field(
        default=10,
        description="An `async def` works on up to so many items at once in one process.",
    )
    timeout: Duration | None = Field(
        default=None,
        description=(
            "An item (or batch) that takes longer: its process is killed, the item is charged "
            "with a failed attempt."
        ),
        examples=["30s"],
    )
    max_items: Positive | None = Field(
        default=None, description="A process is replaced after so many items.", examples=[10_000]
    )
    max_memory: Size | None = Field(
        default=None,
        description="A process is replaced past this resident size.",
        examples=["6GiB"],
    )
    env: dict[str, str] = Field(
        default={},
        description="Environment variables of this stage's processes.",
        examples=[{"OMP_NUM_THREADS": "1"}],
    )
    retry: Retry = Field(
        default=Retry(),
        description="How often and how patiently a failed item is tried again.",
        examples=[{"attempts": 5, "backoff": "1s", "factor": 2, "cap": "1m"}],
    )
    on_failure: Literal["dead-letter", "drop", "stop"] = Field(
        default="dead-letter",
        description=(
            "What becomes of an item that failed for good: `dead-letter` keeps it with its "
            "traceback, `drop` forgets it, `stop` pauses the sources and ends with exit code 1."
        ),
    )
    rate_limit: Rate | None = Field(
        default=None,
        description="Items a second for the whole stage, over all hosts.",
        examples=["100/s"],
    )
    restart: Literal["resume", "again"] = Field(
        default="resume",
        description=(
            "How a source goes on after a restart: `resume` where it was (a generator is iterated "
            "past what it already gave, so it must be deterministic), `again` from its beginning, "
            "for a live feed."
        ),
    )


class Stage(Settings):
    """One stage: a callable and how it is run."""

    run: str = Field(
        description="`module:callable`, imported from the project folder.",
        examples=["app.images:decode"],
    )
    was: str | None = Field(
        default=None,
        description="This stage's former name: it keeps that one's queue.",
        examples=["old"],
    )


class Edge(Model):
    """A bounded queue from one stage to another."""

    from_: Annotated[str, Field(alias="from", description="The stage whose outputs it takes.")]
    to: str = Field(description="The stage whose inputs it gives.")
    name: str = Field(
        default="", description="Its name; `from->to` unless given.", examples=["raw"]
    )
    capacity: Capacity = Field(
        default=10_000,
        description="How much it holds before `from` has to wait: items, or a size.",
        examples=[10_000, "1GiB"],
    )
    tags: tuple[str, ...] = Field(
        default=(),
        description='Only outputs tagged so: return `Tagged(value, "image")`.',
        examples=[["image"]],
    )
    on_remove: Literal["drain", "drop"] = Field(
        default="drain", description="What becomes of its items when it is taken out of the file."
    )

    @property
    def capacity_items(self) -> int | None:
        """How many items it holds; None when the capacity is a size."""
        return self.capacity if isinstance(self.capacity, int) else None

    @property
    def capacity_bytes(self) -> int | None:
        """How many encoded bytes it holds; None when the capacity is a number of items."""
        return parse_size(self.capacity) if isinstance(self.capacity, str) else None


class HostGroup(Model):
    """A named group of hosts: who its members are, and the labels they get."""

    match: tuple[str, ...] = Field(
        default=(), description="Globs: a member's name matches one of them.", examples=[["rig-*"]]
    )
    where: tuple[str, ...] = Field(
        default=(),
        description="Constraints: all of them hold for a member.",
        examples=[["gpus >= 1"]],
    )
    labels: dict[str, str] = Field(
        default={},
        description="Given to its members, for `label.NAME` in constraints.",
        examples=[{"room": "lab"}],
    )


class Sync(Model):
    """Which files of the project travel to other hosts."""

    include: tuple[str, ...] = Field(
        default=(),
        description="Only these; everything that is not ignored unless given.",
        examples=[["src/**", "models/*.onnx"]],
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="Never these, in .gitignore's syntax.", examples=[["data/"]]
    )
    max_file: Size = Field(default=2 * 1024**3, description="A larger file is left out, and named.")


class Reload(Model):
    """What a change of the code does while the pipeline runs."""

    code: Literal["rolling", "manual", "off"] = Field(
        default="rolling",
        description="`rolling` restarts workers by and by, `manual` when told, `off` never.",
    )
    max_parallel: Percent = Field(
        default=0.25, description="At most this share of a stage's workers restarts at a time."
    )
    min_healthy: Duration = Field(
        default=10.0,
        description="A new worker that crashes sooner than this makes the change fail.",
    )
    auto_revert: Flag = Field(default=True, description="A change that failed is taken back.")
    grace: Duration = Field(
        default=30.0, description="A worker asked to stop may finish its item for so long."
    )


class Server(Model):
    """Where the head listens and what it keeps."""

    bind: str = Field(
        default="0.0.0.0",  # noqa: S104  (the documented default; nothing is said before TLS and the key)
        description="The address it listens on.",
    )
    port: Port | None = Field(
        default=None, description="TCP; 50000 or the next free one unless given.", examples=[50000]
    )
    plain: Flag = Field(
        default=False, description="Whether it also serves stock multiprocessing manager clients."
    )
    web: WebAddress | None = Field(
        default=None,
        description=(
            "Where the page is served: an address or false. "
            "127.0.0.1:7400 or the next free port unless given."
        ),
        examples=["127.0.0.1:7400", False],
    )
    state: str = Field(
        default=".runner", description="Folder for what a run keeps, beside the file."
    )
    memory: Size = Field(
        default=256 * 1024**2, description="Queued bodies the head keeps in memory."
    )
    max_item: Size = Field(default=64 * 1024**2, description="The largest encoded item.")


class Header(Model):
    """The pipeline as a whole."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] = Field(
        description="Its name, also on the network: lower-case letters, digits and hyphens.",
        examples=["thumbs"],
    )
    engine: str = Field(
        default="embedded", description="What holds the queues: `embedded` is the head itself."
    )
    durability: Literal["fsync", "relaxed", "memory"] = Field(
        default="fsync",
        description=(
            "What of the queues survives: `fsync` everything, `relaxed` all but perhaps the last "
            "second, `memory` nothing."
        ),
    )


class File(Model):
    """A whole pipeline file."""

    pipeline: Header = Field(description="The pipeline as a whole.")
    defaults: Settings = Field(
        default=Settings(), description="Settings for every stage that does not have its own."
    )
    stages: dict[str, Stage] = Field(description="The stages by name.")
    edges: tuple[Edge, ...] = Field(default=(), description="The queues between them.")
    hosts: dict[str, HostGroup] = Field(default={}, description="Named groups of hosts.")
    sync: Sync = Field(
        default=Sync(), description="Which files of the project travel to other hosts."
    )
    reload: Reload = Field(default=Reload(), description="What a change of the code does.")
    server: Server = Field(
        default=Server(), description="Where the head listens and what it keeps."
    )
