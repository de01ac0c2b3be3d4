"""Checks of the graph: edges that lead nowhere, stages nothing reaches, cycles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline_runner.config.faults import Fault, Suggestions
from pipeline_runner.config.graph import Arrow, cycles, reachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.config.model import Edge
    from pipeline_runner.config.validate import Draft

_MEANT = 0.6  # how alike a stage's name must be to one that is not there, 0..1
LONGEST_NAME = 200  # characters
_LISTED = 20  # stages in a hint
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def check_graph(draft: Draft) -> list[Fault]:
    """Return every fault of the stages as a graph."""
    return [*_names(draft), *_ends(draft), *_duplicates(draft), *_connections(draft)]


def _names(draft: Draft) -> Iterator[Fault]:
    for name in draft.file.stages:
        if _NAME.fullmatch(name) is None:
            message = f'"{name}" is not a stage\'s name'
            hint = "letters, digits, `_` and `-`"
            yield Fault("bad-name", message, ("stages", name), hint, at="key")
        elif len(name) > LONGEST_NAME:
            message = f"a stage's name has at most {LONGEST_NAME} characters"
            yield Fault("bad-name", message, ("stages", name), at="key")
    if not draft.file.stages and draft.whole:
        hint = "begin with [stages.NAME]"
        yield Fault("no-stages", "the file has no stages", ("stages",), hint, at="key")


def _ends(draft: Draft) -> Iterator[Fault]:
    stages = draft.file.stages
    names = list(stages)
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    listed = f"Stages: {', '.join(names[:_LISTED])}{more}"
    suggestions = Suggestions()
    meant: dict[str, str] = {}
    for row, edge in zip(draft.edge_rows, draft.file.edges, strict=True):
        for key, verb, name in (("from", "begins", edge.from_), ("to", "ends", edge.to)):
            if name not in stages:
                message = f'edge {verb} at "{name}", which is no stage'
                if name not in meant:
                    meant[name] = suggestions.did_you_mean(name, stages)
                hint = f"{meant[name]} {listed}".strip()
                yield Fault("unknown-stage", message, ("edges", row, key), hint)


def _duplicates(draft: Draft) -> Iterator[Fault]:
    routes: set[tuple[str, str, frozenset[str]]] = set()
    names: set[str] = set()
    for row, edge in zip(draft.edge_rows, draft.file.edges, strict=True):
        name = edge.name or f"{edge.from_}->{edge.to}"
        route = (edge.from_, edge.to, frozenset(edge.tags))
        if route in routes:
            message = f'"{edge.from_}" and "{edge.to}" are joined twice'
            hint = "take one edge out, or let them differ in `tags`"
            yield Fault("duplicate-edge", message, ("edges", row), hint)
        elif name in names:
            message = f'two edges have the name "{name}"'
            path = ("edges", row, "name") if edge.name else ("edges", row)
            yield Fault("duplicate-edge", message, path, "give one of them another `name`")
        routes.add(route)
        names.add(name)


def _connections(draft: Draft) -> Iterator[Fault]:
    stages = draft.file.stages
    arrows = _arrows(draft)
    if arrows is None or len(stages) < 2:
        arrows = [arrow for arrow in arrows or [] if arrow[0] in stages and arrow[1] in stages]
        yield from _cycles(draft, arrows)
        return
    linked = {name for arrow in arrows for name in arrow}
    fed = {to for _, to in arrows}
    sources = [name for name in stages if name not in fed]
    reached = reachable(sources, arrows)
    for name in stages:
        path = ("stages", name)
        if name not in linked:
            message = f'no edge reaches "{name}", and it reaches none'
            hint = "join it with an [[edges]], or take it out"
            yield Fault("unconnected-stage", message, path, hint, at="key")
        elif name not in reached:
            message = f'no source reaches "{name}"'
            hint = "items enter at a stage without an edge in, and none leads here"
            yield Fault("unreachable-stage", message, path, hint, at="key")
    yield from _cycles(draft, arrows)


def _arrows(draft: Draft) -> list[Arrow] | None:
    """Return the edges as they were meant; None when that cannot be told.

    A misspelt end is one fault, and must not make its stage look unconnected as well.
    """
    if not draft.whole:
        return None
    stages = draft.file.stages
    suggestions = Suggestions()
    meant: dict[str, str | None] = {name: name for name in stages}
    arrows: list[Arrow] = []
    for edge in draft.file.edges:
        for end in (edge.from_, edge.to):
            if end not in meant:
                meant[end] = suggestions.nearest(end, stages, cutoff=_MEANT)
        from_, to = meant[edge.from_], meant[edge.to]
        if from_ is None or to is None:
            return None
        arrows.append((from_, to))
    return arrows


def _cycles(draft: Draft, arrows: list[Arrow]) -> Iterator[Fault]:
    found = cycles(draft.file.stages, arrows)
    home = {name: at for at, cycle in enumerate(found) for name in cycle}
    within: list[list[tuple[int, Edge]]] = [[] for _ in found]
    for row, edge in zip(draft.edge_rows, draft.file.edges, strict=True):
        at = home.get(edge.from_)
        if at is not None and at == home.get(edge.to):
            within[at].append((row, edge))
    for cycle, inside in zip(found, within, strict=True):
        if inside:
            row, _ = inside[-1]
            message = f"a cycle: {' -> '.join([*cycle, cycle[0]])}"
            hint = f"allowed; {_bound([edge for _, edge in inside])}"
            yield Fault("cycle", message, ("edges", row, "to"), hint, severity="note")


def _bound(edges: list[Edge]) -> str:
    items = sum(edge.capacity_items or 0 for edge in edges)
    sized = [edge.capacity for edge in edges if edge.capacity_bytes is not None]
    listed = " and ".join([*([f"{items} items"] if items else []), *map(str, sized)])
    return f"new items wait outside while it holds {listed}; inside it nothing ever waits"
