"""Which client runs which functions: the rules of a pipeline file, over functions and clients.

Pure: clients come and go as facts, and what each is to run comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from pipeline_runner.config.expressions import parse_constraint
from pipeline_runner.config.model import Stage
from pipeline_runner.config.pipeline import Pipeline
from pipeline_runner.errors import UsageError
from pipeline_runner.plan.assign import assign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline_runner.clusterer.process_pool import Job
    from pipeline_runner.plan.hosts import Host

Rule: TypeAlias = int | str | dict[str, Any]
Work: TypeAlias = list[tuple[str, tuple[str, ...], int]]  # "module:function", queues, processes

_RULES = (
    "processes",
    "per_host",
    "constraints",
    "affinity",
    "max_per_host",
    "spread",
)


@dataclass(frozen=True, slots=True)
class Duty:
    """A function by the name that clients import it by, its queues, and where it runs."""

    run: str
    queues: tuple[str, ...]
    stage: Stage


def duty(job: Job, rule: Rule) -> Duty:
    """Return the duty of a function. ``rule`` is so many on each client, a number or an expression
    as ``"cores-1"``; or a table of a stage's placement in a pipeline file, which without a number
    is one in all.

    Raises UsageError for a rule that says nothing, or a function that no client could import.
    """
    module, name = job.function.__module__, job.function.__qualname__
    if module == "__main__" or "<" in name:
        raise UsageError(
            f"clients cannot import {job.name}",
            hint="define it at the top of a module of its own, as functions.py, that they have too",
        )
    table = rule if isinstance(rule, dict) else {"per_host": rule}
    unknown = sorted(table.keys() - set(_RULES))
    if unknown:
        raise UsageError(
            f"`{unknown[0]}` says nothing of where {job.name} runs",
            hint=f"rules: {', '.join(_RULES)}",
        )
    try:
        stage = Stage.model_validate({"run": f"{module}:{name}", **table})
        for text in (*stage.constraints, *(affinity.if_ for affinity in stage.affinity)):
            parse_constraint(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = first["loc"][0] if first["loc"] else "rule"
        raise UsageError(f"`{where}` of {job.name}: {first['msg']}") from None
    except ValueError as error:
        raise UsageError(f"where {job.name} runs: {error}") from error
    return Duty(stage.run, job.queues, stage)


class Assignments:
    """What each client is to run, as they come and go."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = {f"{number} {each.run}": each for number, each in enumerate(duties)}
        self._pipeline = Pipeline(
            name="clusterer",
            engine="embedded",
            durability="memory",
            stages={name: each.stage for name, each in self._duties.items()},
            edges=(),
        )
        self._clients: dict[str, Host] = {}
        self._counts: Mapping[str, Mapping[str, int]] = {}
        self.homeless: Mapping[str, int] = {}  # functions that found no client: {"module:f": n}

    def joined(self, client: Host) -> str:
        """Take a client in, and return the name that it has here: nobody else's."""
        name, number = client.name, 1
        while name in self._clients:
            number += 1
            name = f"{client.name}-{number}"
        self._clients[name] = replace(client, name=name)
        self._assign()
        return name

    def left(self, name: str) -> None:
        """Let a client go; what it alone ran goes to others."""
        del self._clients[name]
        self._assign()

    def work(self, name: str) -> Work:
        """Return what the client ``name`` is to run now."""
        counts = self._counts[name]
        return [
            (each.run, each.queues, counts[stage])
            for stage, each in self._duties.items()
            if counts.get(stage)
        ]

    def _assign(self) -> None:
        plan = assign(self._pipeline, list(self._clients.values()), self._counts)
        self._counts = plan.counts
        self.homeless = {self._duties[stage].run: n for stage, n in plan.pending.items()}
