"""A pipeline made in code becomes the text of a file, so that one reader judges them all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline_runner.api.reference import reference
from pipeline_runner.api.toml import written
from pipeline_runner.config.faults import Fault, in_file_order, placed
from pipeline_runner.config.locate import Locator
from pipeline_runner.config.parse import parse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_runner.api.reference import Reference
    from pipeline_runner.api.settings import EdgeSettings, Run, StageSettings
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import Problem


def build(
    header: Mapping[str, Any],
    stages: Mapping[str, Run | StageSettings],
    edges: Iterable[tuple[str, ...] | EdgeSettings],
    tables: Mapping[str, Any],
    root: Path,
) -> tuple[Pipeline | None, tuple[Problem, ...], str]:
    """Return the pipeline, what there is to say about it, and its text.

    Without a pipeline there is an error among the problems. Raises TypeError or ValueError for
    what no text of a file could say.
    """
    references: dict[str, Reference] = {}
    rows: dict[str, dict[str, Any]] = {}
    for name, given in stages.items():
        row: dict[str, Any] = (
            {"run": given} if isinstance(given, str) or callable(given) else {**given}
        )
        if "run" in row:
            references[name] = reference(row["run"])
            row["run"] = references[name].run
        rows[name] = row
    text = written({"pipeline": header, **tables, "stages": rows, "edges": list(_edges(edges))})
    file = root / f"<{header['name']}>"
    pipeline, problems = parse(text, file=file.name, environ=os.environ)
    faults = _faults(references, Locator(text, file.name))
    if not faults:
        return pipeline and pipeline.at(file), problems, text
    # The reader may dislike such a name as well: one word about it is enough.
    said = {fault.span for fault in faults}
    kept = [problem for problem in problems if problem.span not in said]
    return None, in_file_order((*faults, *kept)), text


def _edges(edges: Iterable[tuple[str, ...] | EdgeSettings]) -> Iterable[Mapping[str, Any]]:
    for edge in edges:
        if isinstance(edge, Mapping):
            yield edge
        elif isinstance(edge, str) or len(edge) < 2:
            raise ValueError(f'an edge is a path such as ("list", "decode"), not {edge!r}')
        else:
            yield from ({"from": start, "to": end} for start, end in pairwise(edge))


def _faults(references: Mapping[str, Reference], locator: Locator) -> tuple[Problem, ...]:
    return placed(
        (
            Fault("not-importable", found.fault, ("stages", name, "run"), found.hint)
            for name, found in references.items()
            if found.fault
        ),
        locator,
    )
