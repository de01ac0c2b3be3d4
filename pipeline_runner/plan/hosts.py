"""A host as placement sees it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (part of the type, for whoever inspects it)
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Host:
    """The facts of one host; ``name`` is unique in a run.

    ``os`` and ``arch`` are lower case ("linux", "x86_64"), ``python`` is a full version
    ("3.11.4"). ``cores`` are those its processes may use, at least 1; ``memory`` is in bytes.
    ``max_procs`` caps the workers of all stages together, None for no cap. ``lacks`` are stages
    that cannot run there, with the reason.
    """

    name: str
    os: str
    arch: str
    python: str
    cores: int
    memory: int
    gpus: int = 0
    head: bool = False
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    max_procs: int | None = None
    lacks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain data; ``Host(**data)`` is the same host."""
        return asdict(replace(self, labels=dict(self.labels), lacks=dict(self.lacks)))
