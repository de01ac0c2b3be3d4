"""What the head answers to the command line."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import RunnerError
from pipeline_runner.plan.explain import why

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.hosts import Hosts
    from pipeline_runner.plan.hosts import Host


def explain(pipeline: Pipeline, hosts: Hosts, stage: str) -> dict[str, Any]:
    """Return why ``stage`` runs where it does. Raises RunnerError for an unknown stage."""
    if stage not in pipeline.stages:
        known = ", ".join(pipeline.stages)
        raise RunnerError(f"{pipeline.name} has no stage {stage!r}", hint=f"its stages: {known}")
    if hosts.plan is None:
        raise RunnerError("no host is here yet", hint="ask again in a moment")
    here = [member.host for member in hosts.members.values()]
    explanation = why(pipeline, here, hosts.plan, stage)
    return {"explanation": explanation.as_json(), "text": explanation.lines()}


def plan(hosts: Hosts) -> dict[str, Any]:
    """Return what runs now, and on which hosts."""
    here = [_facts(member.host) for member in hosts.members.values()]
    return {"slots": hosts.slots, "hosts": here}


def _facts(host: Host) -> dict[str, Any]:
    facts = {field.name: getattr(host, field.name) for field in fields(host)}
    return {**facts, "labels": dict(host.labels)}
