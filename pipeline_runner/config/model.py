"""The pipeline file as a model: every key, its type, its default and its meaning.

This is the one source of the JSON schema, of ``runner explain`` and of the defaults. A model is
what the file *says*; what the graph makes of it (kinds, neighbours) is :mod:`.pipeline`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline_runner.config.quantities import parse_size
from pipeline_runner.config.stage import (
    Affinity,
    Autoscale,
    Batch,
    Model,
    Retry,
    Settings,
    Stage,
)
from pipeline_runner.config.units import Duration, Percent, Size  # noqa: TC001  (pydantic)
from pipeline_runner.config.values import (  # noqa: TC001  (as above)
    Capacity,
    Flag,
    Port,
    WebAddress,
)

__all__ = [
    "Affinity",
    "Autoscale",
    "Batch",
    "Edge",
    "File",
    "Header",
    "HostGroup",
    "Model",
    "Reload",
    "Retry",
    "Server",
    "Settings",
    "Stage",
    "StageKind",
    "Sync",
]

StageKind = Literal["source", "map", "sink"]


class Edge(Model):
    """A bounded queue from one stage to another."""

    from_: Annotated[str, Field(alias="from", description="The stage whose outputs it takes.")]
    to: str = Field(description="The stage whose inputs it gives.")
    name: str = Field(
        default="", description="Its name; `from->to` unless given.", examples=["raw"]
    )
    capacity: Capacity = Field(
        default=10_000,
        description="How much it holds before `from` has to wait: items (at most 64 MiB of them), "
        "or a size.",
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
        description="Only these, whatever .gitignore says; all that is not ignored unless given.",
        examples=[["src/**", "models/*.onnx"]],
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="Never these, in .gitignore's syntax.", examples=[["data/"]]
    )
    max_file: Size = Field(default=2 * 1024**3, description="A larger file is an error.")


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
        default=None,
        description="The TCP port; 50000 or the next free one unless given.",
        examples=[50000],
    )
    plain: Flag = Field(
        default=False,
        description=(
            "Whether stock multiprocessing manager clients are served on TCP too, which is not "
            "encrypted; on this host they always are, through a Unix socket."
        ),
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
