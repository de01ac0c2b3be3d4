"""Which settings differ between two versions of the file, and what each difference does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline_runner.plan.spec import IN_PLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from pipeline_runner.config.model import Edge, Stage
    from pipeline_runner.config.pipeline import Pipeline

Effect = Literal["in place", "restart", "at the next up"]
_UNSET = "unset"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that differs. ``subject`` is a stage, an edge or a table of the file.

    ``effect``: "in place" at once, "restart" by new workers, "at the next up" by a new head.
    """

    subject: str
    key: str
    before: str
    after: str
    effect: Effect


def changed_keys(old: Stage, new: Stage) -> Iterator[tuple[str, str, str, Effect]]:
    """Yield each key of a stage that differs, dotted: ``(key, before, after, effect)``."""
    for key, before, after in _differences(old, new):
        in_place = key.split(".")[0] in IN_PLACE
        yield key, before, after, "in place" if in_place else "restart"


def edge_settings(old: Edge, new: Edge) -> Iterator[Setting]:
    """Yield the settings that differ between two versions of an edge."""
    for key, before, after in _differences(old, new):
        yield Setting(new.name, key, before, after, "in place")


def settings(old: Pipeline, new: Pipeline) -> Iterator[Setting]:
    """Yield what differs outside of stages and edges."""
    for key in ("name", "engine", "durability"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield Setting("[pipeline]", key, before, after, "at the next up")
    tables: tuple[tuple[str, Effect], ...] = (
        ("sync", "in place"),
        ("reload", "in place"),
        ("server", "at the next up"),
    )
    for table, effect in tables:
        for key, before, after in _differences(getattr(old, table), getattr(new, table)):
            yield Setting(f"[{table}]", key, before, after, effect)
    for group in sorted(old.hosts.keys() | new.hosts.keys()):
        for key, before, after in _differences(old.hosts.get(group), new.hosts.get(group)):
            yield Setting(f"[hosts.{group}]", key, before, after, "in place")


def _differences(old: BaseModel | None, new: BaseModel | None) -> Iterator[tuple[str, str, str]]:
    before, after = _flat(old), _flat(new)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key, _UNSET) != after.get(key, _UNSET):
            yield key, before.get(key, _UNSET), after.get(key, _UNSET)


def _flat(model: BaseModel | None) -> dict[str, str]:
    if model is None:
        return {}
    return dict(_leaves("", model.model_dump(mode="json", by_alias=True)))


def _leaves(prefix: str, table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        match value:
            case dict():
                yield from _leaves(f"{prefix}{key}.", value)
            case None:
                yield f"{prefix}{key}", _UNSET
            case str():
                yield f"{prefix}{key}", value
            case _:
                yield f"{prefix}{key}", json.dumps(value)
