"""What the file says of a stage: a callable, how many run where, and what befalls an item."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline_runner.config.units import Duration, Rate, Size  # noqa: TC001  (pydantic)
from pipeline_runner.config.values import (  # noqa: TC001  (pydantic reads them at run time)
    Factor,
    PerHost,
    Positive,
    Weight,
    Workers,
)


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

    min: Workers = Field(default=1, description="Never fewer workers in all.")
    max: Workers = Field(ge=1, description="Never more workers in all.")
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

    processes: Workers | None = Field(
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
