"""A valid pipeline: what the file says, its defaults merged in, and what the graph makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.config.graph import components
from pipeline_runner.config.model import Reload, Server, Sync

if TYPE_CHECKING:
    from pipeline_runner.config.model import Edge, File, HostGroup, Settings, Stage, StageKind

COUNTS = frozenset({"processes", "per_host", "autoscale"})


@dataclass(frozen=True)
class Pipeline:
    """The contract of the file with everything that runs it.

    ``stages`` are in file order with ``[defaults]`` merged in, ``edges`` have their names.
    ``file`` is the pipeline file and ``root`` its folder, which is the project.
    """

    name: str
    engine: str
    durability: str
    stages: dict[str, Stage]
    edges: tuple[Edge, ...]
    hosts: dict[str, HostGroup] = field(default_factory=dict)
    sync: Sync = field(default_factory=Sync)
    reload: Reload = field(default_factory=Reload)
    server: Server = field(default_factory=Server)
    file: Path = Path("pipeline.toml")

    @property
    def root(self) -> Path:
        """The project: the folder that holds the file."""
        return self.file.parent

    @property
    def state_dir(self) -> Path:
        """Where a run of this pipeline keeps what it keeps."""
        return self.root / self.server.state / self.name

    def at(self, file: Path) -> Pipeline:
        """Return the same pipeline, read from ``file``."""
        return replace(self, file=file)

    def inputs(self, stage: str) -> tuple[Edge, ...]:
        """Return the edges that end at ``stage``. Raises KeyError for an unknown stage."""
        return self._ends[stage][0]

    def outputs(self, stage: str) -> tuple[Edge, ...]:
        """Return the edges that begin at ``stage``. Raises KeyError for an unknown stage."""
        return self._ends[stage][1]

    def kind(self, stage: str) -> StageKind:
        """Return what the graph makes of ``stage``; one that stands alone is a source."""
        inputs, outputs = self._ends[stage]
        if not inputs:
            return "source"
        return "map" if outputs else "sink"

    @property
    def sources(self) -> tuple[str, ...]:
        """Stages without an edge in."""
        return tuple(name for name in self.stages if not self.inputs(name))

    @property
    def sinks(self) -> tuple[str, ...]:
        """Stages without an edge out."""
        return tuple(name for name in self.stages if not self.outputs(name))

    @cached_property
    def components(self) -> tuple[tuple[str, ...], ...]:
        """Strongly connected components, upstream first; members in file order."""
        return components(self.stages, [(edge.from_, edge.to) for edge in self.edges])

    @cached_property
    def _ends(self) -> dict[str, tuple[tuple[Edge, ...], tuple[Edge, ...]]]:
        into: dict[str, list[Edge]] = {name: [] for name in self.stages}
        out: dict[str, list[Edge]] = {name: [] for name in self.stages}
        for edge in self.edges:
            if edge.to in into:
                into[edge.to].append(edge)
            if edge.from_ in out:
                out[edge.from_].append(edge)
        return {name: (tuple(into[name]), tuple(out[name])) for name in self.stages}


def from_file(model: File, file: Path) -> Pipeline:
    """Return the pipeline of a valid ``model`` that was read from ``file``."""
    return Pipeline(
        name=model.pipeline.name,
        engine=model.pipeline.engine,
        durability=model.pipeline.durability,
        stages={name: merged(model.defaults, stage) for name, stage in model.stages.items()},
        edges=tuple(
            edge.model_copy(update={"name": edge.name or f"{edge.from_}->{edge.to}"})
            for edge in model.edges
        ),
        hosts=dict(model.hosts),
        sync=model.sync,
        reload=model.reload,
        server=model.server,
        file=file,
    )


def merged(defaults: Settings, stage: Stage) -> Stage:
    """Return ``stage`` with what it leaves unsaid taken from ``defaults``.

    ``retry`` and ``env`` are merged key by key. A stage that sets one of ``processes``,
    ``per_host`` and ``autoscale`` has decided its count: it takes none of the three.
    """
    said = set(stage.model_fields_set)
    if said & COUNTS:
        said |= COUNTS
    update: dict[str, object] = {
        key: getattr(defaults, key) for key in defaults.model_fields_set - said
    }
    if "env" in said:
        update["env"] = {**defaults.env, **stage.env}
    if "retry" in said:
        own = {key: getattr(stage.retry, key) for key in stage.retry.model_fields_set}
        update["retry"] = defaults.retry.model_copy(update=own)
    return stage.model_copy(update=update)
