"""Checks of the graph: edges that lead nowhere, stages nothing reaches, cycles."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pipeline_runner.config.faults import Fault, did_you_mean
from pipeline_runner.config.graph import Arrow, cycles, reachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.config.model import Edge
    from pipeline_runner.config.validate import Draft

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
    if not draft.file.stages and draft.whole:
        hint = "begin with [stages.NAME]"
        yield Fault("no-stages", "the file has no stages", ("stages",), hint, at="key")


def _ends(draft: Draft) -> Iterator[Fault]:
    stages = draft.file.stages
    for row, edge in zip(draft.edge_rows, draft.file.edges, strict=True):
        for key, verb, name in (("from", "begins", edge.from_), ("to", "ends", edge.to)):
            if name not in stages:
                message = f'edge {verb} at "{name}", which is no stage'
                listed = f"Stages: {', '.join(stages)}"
                hint = f"{did_you_mean(name, stages)} {listed}".strip()
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
    sources = [name for name in stages if all(to != name for _, to in arrows)]
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
    arrows: list[Arrow] = []
    for edge in draft.file.edges:
        ends = [get_close_matches(end, draft.file.stages, n=1) for end in (edge.from_, edge.to)]
        if not all(ends):
            return None
        arrows.append((ends[0][0], ends[1][0]))
    return arrows


def _cycles(draft: Draft, arrows: list[Arrow]) -> Iterator[Fault]:
    for cycle in cycles(draft.file.stages, arrows):
        inside = [
            (row, edge)
            for row, edge in zip(draft.edge_rows, draft.file.edges, strict=True)
            if edge.from_ in cycle and edge.to in cycle
        ]
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
