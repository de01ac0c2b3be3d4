"""Why a stage runs where it runs (each host against each rule), and what holds the others up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline_runner.plan.bottleneck import Bottleneck, StageLoad, bottleneck, count_key
from pipeline_runner.plan.demand import demands
from pipeline_runner.plan.groups import enrol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.assign import Plan
    from pipeline_runner.plan.constraints import Reason
    from pipeline_runner.plan.hosts import Host

__all__ = [
    "Bottleneck",
    "Explanation",
    "HostRules",
    "StageLoad",
    "bottleneck",
    "count_key",
    "why",
]

_NO_TOTALS: dict[str, int] = {}
_NOBODY: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class HostRules:
    """One host: how many workers it runs by the plan, and how every rule stands."""

    host: str
    runs: int
    rules: tuple[Reason, ...]
    verdict: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a stage runs where it runs. ``wanted`` is ``placed`` plus ``pending``."""

    stage: str
    wanted: int
    placed: int
    pending: int
    hosts: tuple[HostRules, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data of the same shape."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the screen of ``runner why STAGE``, without line ends."""
        noun = "worker has" if self.wanted == 1 else "workers have"
        missing = f", {self.pending} pending" if self.pending else ""
        lines = [f"{self.stage}: {self.placed} of {self.wanted} {noun} a place{missing}"]
        if not self.hosts:
            return [*lines, "no host is here"]
        wide_host = max(len(host.host) for host in self.hosts)
        wide_rule = max((len(rule.rule) for host in self.hosts for rule in host.rules), default=0)
        for host in self.hosts:
            lines.append(f"{host.host.ljust(wide_host)}  {host.verdict}")
            lines += [
                f"  {'ok' if rule.held else 'no'}  {rule.rule.ljust(wide_rule)}  {rule.actual}"
                for rule in host.rules
            ]
        return lines


def why(
    pipeline: Pipeline,
    hosts: Sequence[Host],
    plan: Plan,
    stage: str,
    *,
    totals: Mapping[str, int] = _NO_TOTALS,
    out: Mapping[str, str] = _NOBODY,
) -> Explanation:
    """Return how each of ``hosts`` stands to each rule of ``stage`` under ``plan``.

    ``plan`` is what :func:`assign` gave for the same pipeline, hosts and totals. ``out`` are hosts
    that it leaves out, and why. Raises KeyError for an unknown stage.
    """
    demand = demands(pipeline, enrol(pipeline.hosts, hosts), totals)[stage]
    pending = plan.pending.get(stage, 0)
    entries = []
    for host in sorted(host.name for host in hosts):
        runs = plan.counts[host].get(stage, 0)
        rules = demand.rules[host]
        caps = tuple(r for r in plan.reasons[stage].get(host, ()) if r not in rules)
        fits = all(rule.held for rule in rules)
        verdict = _verdict(runs, fits=fits, capped=bool(caps))
        entries.append(HostRules(host, runs, rules + caps, verdict))
    entries += [HostRules(host, 0, (), f"gets no work: {reason}") for host, reason in out.items()]
    entries.sort(key=lambda entry: entry.host)
    return Explanation(
        stage, plan.total(stage) + pending, plan.total(stage), pending, tuple(entries)
    )


def _verdict(runs: int, *, fits: bool, capped: bool) -> str:
    if runs:
        return f"runs {runs}" + (", and may run no more" if capped else "")
    if not fits:
        return "may not run it"
    return "is full" if capped else "may run it, and is not needed"
