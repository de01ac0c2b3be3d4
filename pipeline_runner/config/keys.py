"""The model asked by key path: which keys a table has, and what to call it in a sentence."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, get_args

from pipeline_runner.config.model import (
    Affinity,
    Autoscale,
    Batch,
    Edge,
    File,
    Header,
    HostGroup,
    Model,
    Reload,
    Retry,
    Server,
    Settings,
    Stage,
    Sync,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

    from pipeline_runner.config.locate import KeyPath

NOUNS: dict[type[Model], str] = {
    File: "a table of this file",
    Header: "a setting of [pipeline]",
    Settings: "a stage setting",
    Stage: "a stage setting",
    Retry: "a setting of `retry`",
    Batch: "a setting of `batch`",
    Autoscale: "a setting of `autoscale`",
    Affinity: "a setting of `affinity`",
    Edge: "an edge setting",
    HostGroup: "a setting of a host group",
    Sync: "a setting of [sync]",
    Reload: "a setting of [reload]",
    Server: "a setting of [server]",
}


@cache
def fields(model: type[Model]) -> Mapping[str, FieldInfo]:
    """Return the fields of a table by their names in the file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


@lru_cache(1024)
def table_at(path: KeyPath) -> type[Model] | None:
    """Return the model of the table at ``path``; None when the file has no such table."""
    model: type[Model] | None = File
    named = False  # the next name is the user's own: a stage or a host group
    for step in path:
        if isinstance(step, int) or named:
            named = False
            continue
        info = fields(model).get(step) if model is not None else None
        if info is None:
            return None
        model = table_of(info.annotation)
        named = is_named(info.annotation)
    return None if named else model


def table_of(annotation: Any) -> type[Model] | None:
    """Return the model inside a field's type, such as that of ``tuple[Edge, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    inner = (table_of(argument) for argument in get_args(annotation))
    return next((model for model in inner if model is not None), None)


def is_named(annotation: Any) -> bool:
    """Whether a field is a table of tables under names of the user's."""
    return str(annotation).startswith("dict[") and table_of(annotation) is not None


def is_list(annotation: Any) -> bool:
    """Whether a field is a list of tables."""
    return str(annotation).startswith("tuple[") and table_of(annotation) is not None


def defaults_of(model: type[Model]) -> dict[str, Any]:
    """Return the defaults of a table as they would be written; a key without one is not there."""
    unset = model.model_construct()
    kept = unset.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: _written(value) for key, value in kept.items()}


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _written(inner) for key, inner in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def every_key(model: type[Model] = File, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every key of the file, names of the user's left out: ``("stages", "retry", "cap")``."""
    for name, info in fields(model).items():
        yield (*path, name)
        inner = table_of(info.annotation)
        if inner is not None:
            yield from every_key(inner, (*path, name))


def homes(key: str) -> list[str]:
    """Return the tables that have ``key``, as a person writes them."""
    return list(_homes().get(key, ()))


@cache
def _homes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for *table, key in every_key():
        if table and table != ["defaults"]:
            found.setdefault(key, []).append(f"[{'.'.join(table)}]")
    return found
