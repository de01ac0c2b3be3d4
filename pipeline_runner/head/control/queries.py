"""What the head answers to the command line."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import RunnerError, UsageError
from pipeline_runner.plan.explain import why
from pipeline_runner.queues.broker import inspection

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.hosts.roster import Hosts
    from pipeline_runner.observe.snapshot import Snapshot
    from pipeline_runner.plan.hosts import Host
    from pipeline_runner.queues.broker.ages import Ages
    from pipeline_runner.queues.broker.state import BrokerState


def explain(pipeline: Pipeline, hosts: Hosts, now: Snapshot, stage: str) -> dict[str, Any]:
    """Return why ``stage`` runs where it does, and how it stands in the snapshot ``now``.

    Raises UsageError for an unknown stage.
    """
    if stage not in pipeline.stages:
        known = ", ".join(pipeline.stages)
        raise UsageError(f"there is no stage {stage}", hint=f"stages: {known}")
    if hosts.plan is None:
        raise RunnerError("no host is here yet", hint="ask again in a moment")
    planned = [host for host in hosts.planned if host.name in hosts.plan.counts]
    out = {name: "; ".join(member.unfit) for name, member in hosts.members.items() if member.unfit}
    explanation = why(pipeline, planned, hosts.plan, stage, out=out)
    view = next(each for each in now.stages if each.name == stage)
    text = explanation.lines()
    if view.reason and view.state in ("failing", "paused"):
        text.insert(1, f"it is {view.state}: {view.reason}")
    facts = explanation.as_json() | {"state": view.state, "reason": view.reason}
    return {"explanation": facts, "text": text}


def plan(hosts: Hosts) -> dict[str, Any]:
    """Return what runs now, and on which hosts."""
    here = [_facts(member.host) for member in hosts.members.values()]
    return {"slots": hosts.slots, "hosts": here}


def queues(state: BrokerState, ages: Ages, now: float) -> dict[str, Any]:
    """Return what each edge holds."""
    return {"edges": [backlog.as_json() for backlog in inspection.backlogs(state, ages, now)]}


def peek(state: BrokerState, edge: str, most: int) -> tuple[dict[str, Any], bytes]:
    """Return the next items of an edge, and their bodies one behind the other.

    Raises UsageError for an unknown edge.
    """
    known = [*state.edges, *state.parked]
    if edge not in known:
        raise UsageError(f"there is no queue {edge}", hint=f"queues: {', '.join(known)}")
    seen, bodies = inspection.first(state, edge, most)
    sizes = [(number, len(data)) for number, data in bodies.items()]
    return {"items": [asdict(item) for item in seen], "bodies": sizes}, b"".join(bodies.values())


def _facts(host: Host) -> dict[str, Any]:
    facts = {field.name: getattr(host, field.name) for field in fields(host)}
    return {**facts, "labels": dict(host.labels), "lacks": dict(host.lacks)}
