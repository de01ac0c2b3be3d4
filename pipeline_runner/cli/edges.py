"""Which queue is meant: by its own name, or by the two stages that it joins. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARROWS = ("->", "→")


@dataclass(frozen=True, slots=True)
class Ends:
    """One edge: its name, and its two stages; those are empty where nobody knows them."""

    name: str
    source: str = ""
    target: str = ""

    @property
    def typed(self) -> str:
        """What to type for it: a bare `->` would be the shell's."""
        return f"{self.source} {self.target}" if self.name == self._arrow else self.name

    @property
    def shown(self) -> str:
        """What a person is told: its name, and its stages where the name does not say them."""
        return self.name if self.name == self._arrow else f"{self.name} ({self._arrow})"

    @property
    def _arrow(self) -> str:
        return f"{self.source}->{self.target}" if self.source else self.name


def edge_meant(words: Sequence[str], edges: Sequence[Ends]) -> Ends:
    """Return the edge that ``words`` mean: ``raw``, ``parse->enrich``, or ``parse`` ``enrich``.

    Raises UsageError, with what was probably meant and all there are.
    """
    said = " ".join(words)
    for edge in edges:
        if said == edge.name:
            return edge
    stages = _stages(said)
    if len(stages) == 2:
        between = [edge for edge in edges if [edge.source, edge.target] == stages]
        if len(between) == 1:
            return between[0]
        if between:
            names = ", ".join(edge.name for edge in between)
            raise UsageError(f"several queues lead {_arrowed(stages)}", hint=f"name one: {names}")
    raise UsageError(f"there is no queue {_arrowed(stages)}", hint=_hint(said, stages, edges))


def _stages(said: str) -> list[str]:
    for arrow in _ARROWS:
        said = said.replace(arrow, " ")
    return said.split()


def _arrowed(stages: Sequence[str]) -> str:
    return "->".join(stages)


def _hint(said: str, stages: Sequence[str], edges: Sequence[Ends]) -> str:
    if not edges:
        return "nothing is queued"
    known = "queues: " + ", ".join(edge.shown for edge in edges)
    source = said.removesuffix("-")
    cut = [edge for edge in edges if source != said and edge.source == source]
    if cut:  # `parse->enrich` without quotes: the shell takes the rest for a file to write to
        return f"a shell takes `>` for its own; type: {cut[0].typed}\n{known}"
    at = [e for e in edges if len(stages) == 1 and stages[0] in (e.source, e.target)]
    if at:
        return f"{stages[0]} is a stage, its queues: {', '.join(edge.shown for edge in at)}"
    swapped = [edge for edge in edges if [edge.target, edge.source] == list(stages)]
    names = {edge.name: edge for edge in edges}
    arrows = {f"{edge.source}->{edge.target}": edge for edge in edges if edge.source}
    close = difflib.get_close_matches(_arrowed(stages), {**arrows, **names}, n=1)
    if swapped or close:
        meant = swapped[0] if swapped else {**arrows, **names}[close[0]]
        return f"did you mean `{meant.typed}`?\n{known}"
    return known
