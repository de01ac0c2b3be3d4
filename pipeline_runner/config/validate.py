"""The model's verdict on the data of a file: every fault, and what is sound of the rest.

What is faulty is left out and the rest validated again, so that the checks after it can still
find what is wrong elsewhere.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline_runner.config.complaints import complaint
from pipeline_runner.config.faults import Suggestions
from pipeline_runner.config.locate import lies_in
from pipeline_runner.config.model import File

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.config.faults import Fault
    from pipeline_runner.config.locate import KeyPath

_PLACEHOLDERS: dict[str, Any] = {"pipeline": {"name": "unnamed"}, "stages": {}}
_STEPS = 10  # each leaves out what the one before found, and a file is at most five tables deep


@dataclass(frozen=True, slots=True)
class Draft:
    """A file with its faulty parts left out.

    ``edge_rows[i]`` is the place of ``file.edges[i]`` in the file's list of edges.
    """

    file: File
    edge_rows: tuple[int, ...]
    whole: bool  # no edge and no stage had to be left out


def validate(
    data: Mapping[str, Any], faulty: frozenset[KeyPath]
) -> tuple[Draft | None, list[Fault]]:
    """Return what is sound of ``data``, and the faults outside the ``faulty`` paths."""
    rest = _Rest(data)
    for path in faulty:
        rest.leave_out(path)
    found: list[Fault] = []
    suggestions = Suggestions()
    for step in range(_STEPS):
        try:
            file = File.model_validate(rest.data, by_alias=True, by_name=False)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                path = rest.path_of(details["loc"])
                original = rest.original_path(path)
                if step == 0 and not lies_in(original, faulty):
                    found.append(complaint(details, original, suggestions))
                rest.repair(path, missing=details["type"] == "missing")
            rest.drop_marked()
        else:
            return Draft(file, tuple(rest.edge_rows), rest.whole), found
    return None, found


class _Rest:
    """The data of a file, from which faulty parts are taken out."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data: dict[str, Any] = copy.deepcopy(dict(data))
        edges = self.data.get("edges")
        self.edge_rows = list(range(len(edges))) if isinstance(edges, list) else []
        self.whole = True
        self._dropped: set[int] = set()

    def path_of(self, loc: tuple[int | str, ...]) -> KeyPath:
        """Pydantic marks the branch it took of a union; a file knows no such step."""
        match loc:  # `per_host` of a stage and of [defaults] is the only union with marks
            case ("stages", _, "per_host", _, *inner):
                return (*loc[:3], *inner)
            case ("defaults", "per_host", _, *inner):
                return (*loc[:2], *inner)
        return loc

    def original_path(self, path: KeyPath) -> KeyPath:
        if len(path) > 1 and path[0] == "edges" and isinstance(path[1], int):
            return ("edges", self.edge_rows[path[1]], *path[2:])
        return path

    def repair(self, path: KeyPath, *, missing: bool) -> None:
        if missing and path[0] in _PLACEHOLDERS and path[0] not in self.data:
            self.data[str(path[0])] = copy.deepcopy(_PLACEHOLDERS[str(path[0])])
        elif missing and path[0] == "pipeline":
            self.data["pipeline"]["name"] = "unnamed"
        elif missing and path[0] == "stages" and len(path) == 3:
            self.data["stages"][path[1]]["run"] = ""
        else:
            self.leave_out(path[:-1] if missing else path)

    def leave_out(self, path: KeyPath) -> None:
        """Take out what is at ``path``; of a list, other than that of the edges, all of it."""
        if path[0] == "edges" and len(path) > 1 and isinstance(path[1], int):
            if len(path) == 2:
                self._dropped.add(path[1])
                self.whole = False
                return
            head, tail = path[:2], path[2:]
        else:
            head, tail = (), path
        for at, step in enumerate(tail):
            if isinstance(step, int):
                tail = tail[:at]
                break
        self._remove((*head, *tail))

    def _remove(self, path: KeyPath) -> None:
        holder: Any = self.data
        for step in path[:-1]:
            holder = holder.get(step) if isinstance(holder, dict) else holder[int(step)]
            if not isinstance(holder, (dict, list)):
                return
        if path[:1] == ("stages",) and len(path) == 2:
            holder[path[-1]] = {"run": ""}
            self.whole = False
        elif path in {("edges",), ("stages",)}:
            holder.pop(path[-1], None)
            self.whole = False
        else:
            holder.pop(path[-1], None)

    def drop_marked(self) -> None:
        edges = self.data.get("edges")
        if isinstance(edges, list) and self._dropped:
            kept = [at for at in range(len(edges)) if at not in self._dropped]
            self.data["edges"] = [edges[at] for at in kept]
            self.edge_rows = [self.edge_rows[at] for at in kept]
        self._dropped.clear()
