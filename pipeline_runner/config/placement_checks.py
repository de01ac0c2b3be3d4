"""Checks of where and how many: counts, constraints, selectors and host groups."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.config.expressions import ExpressionError, parse_constraint
from pipeline_runner.config.faults import Fault, Suggestions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline_runner.config.locate import KeyPath
    from pipeline_runner.config.model import File, HostGroup, Settings

_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class _Groups:
    """The host groups: their names, and how a selector names them."""

    names: frozenset[str]
    selectors: tuple[str, ...]
    suggestions: Suggestions = field(default_factory=Suggestions)


def check_placement(file: File) -> list[Fault]:
    """Return every fault of the counts and rules of ``file``."""
    tables: list[tuple[KeyPath, Settings]] = [(("defaults",), file.defaults)]
    tables += [(("stages", name), stage) for name, stage in file.stages.items()]
    known = _Groups(frozenset(file.hosts), tuple(f"@{group}" for group in file.hosts))
    faults = [fault for path, table in tables for fault in _table(path, table, known)]
    for name, group in file.hosts.items():
        faults += _group(name, group)
    return faults


def _table(path: KeyPath, table: Settings, groups: _Groups) -> Iterator[Fault]:
    if table.processes is not None and table.autoscale is not None:
        message = "`processes` and `autoscale` both decide the total"
        yield Fault("two-counts", message, (*path, "autoscale"), "keep one of them", at="key")
    if table.autoscale is not None and table.autoscale.min > table.autoscale.max:
        message = f"`min` is more than `max`, which is {table.autoscale.max}"
        yield Fault("out-of-range", message, (*path, "autoscale", "min"))
    yield from _constraints((*path, "constraints"), table.constraints)
    for at, affinity in enumerate(table.affinity):
        yield from _constraint((*path, "affinity", at, "if"), affinity.if_)
    if isinstance(table.per_host, dict):
        for selector in table.per_host:
            yield from _selector((*path, "per_host", selector), selector, groups)


def _selector(path: KeyPath, selector: str, groups: _Groups) -> Iterator[Fault]:
    if selector.startswith("@") and selector[1:] not in groups.names:
        message = f'there is no host group "{selector[1:]}"'
        meant = groups.suggestions.did_you_mean(selector, groups.selectors)
        hint = meant or f"describe it: [hosts.{selector[1:] or 'NAME'}]"
        yield Fault("unknown-group", message, path, hint, at="key")
    elif not selector.strip():
        hint = "a host's name, @group, a glob or *"
        yield Fault("bad-value", "an empty selector matches no host", path, hint, at="key")
    elif selector in groups.names:
        message = f'"{selector}" is taken for a host, and there is a group of that name'
        hint = f'did you mean "@{selector}"?'
        yield Fault("unknown-group", message, path, hint, at="key", severity="warning")


def _group(name: str, group: HostGroup) -> Iterator[Fault]:
    path = ("hosts", name)
    if _GROUP.fullmatch(name) is None:
        message = f'"{name}" is not a host group\'s name'
        yield Fault("bad-name", message, path, "letters, digits, `_` and `-`", at="key")
    said = group.model_fields_set
    if not said & {"match", "where"}:
        message = f'nothing says which hosts are in "{name}"'
        yield Fault("empty-group", message, path, "give it `match` or `where`", at="key")
    yield from _constraints((*path, "where"), group.where)


def _constraints(path: KeyPath, texts: Iterable[str]) -> Iterator[Fault]:
    for at, text in enumerate(texts):
        yield from _constraint((*path, at), text)


def _constraint(path: KeyPath, text: str) -> Iterator[Fault]:
    try:
        parse_constraint(text)
    except ExpressionError as error:
        part = (error.start, error.end)
        yield Fault("bad-expression", str(error), path, error.hint, part=part)
