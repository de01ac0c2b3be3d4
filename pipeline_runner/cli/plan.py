"""``runner plan``: what the file would change of what runs, or would start."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import project
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import ExitCode, NoHead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.plan.diff import Change, State
    from pipeline_runner.plan.hosts import Host

Slots = dict[str, dict[str, tuple[int, ...]]]


@verb("plan", file="argument", facts=True)
@click.option("--exit-code", is_flag=True, help="Exit 10 if there are changes.")
def plan(common: CommonOptions, exit_code: bool) -> ExitCode:
    """Show what the file would start, stop, move or restart. Applies nothing."""
    from pipeline_runner.plan.diff import acts, diff, render

    pipeline = project.load(common.file)
    running = _running(pipeline)
    before, hosts, queued, parked = running or (None, _here(), {}, _kept(pipeline))
    after = _state(pipeline, hosts, before.slots if before else {})
    changes = diff(before, after, queued=queued, parked=parked)
    if common.json:
        click.echo(json.dumps([as_json(change) for change in changes], indent=2))
    else:
        for line in render(changes):
            click.echo(click.style(line, fg=_COLOURS.get(line[:1])))
        if not common.quiet:
            click.echo(_moral(acts(changes), running is not None, common), err=True)
    return ExitCode.CHANGES if exit_code and acts(changes) else ExitCode.OK


_COLOURS = {"+": "green", "-": "red", "~": "yellow", "!": "bright_red"}


def as_json(change: Change) -> dict[str, Any]:
    """Return a change as plain data; ``change`` names its kind."""
    return {"change": type(change).__name__.lower(), **asdict(change)}


def _moral(changed: bool, runs: bool, common: CommonOptions) -> str:
    if not changed:
        return "Nothing would change."
    if runs:
        return "Nothing applied: a run takes a changed file when it is started again."
    bare = f" {common.file}" if common.again else ""
    return f"Nothing runs yet.  Start it: runner up{bare}"


def _state(pipeline: Pipeline, hosts: Sequence[Host], slots: Mapping[str, Any]) -> State:
    from pipeline_runner.plan.assign import assign
    from pipeline_runner.plan.diff import State
    from pipeline_runner.plan.slots import slots as numbered

    counts = {host: {s: len(i) for s, i in stages.items()} for host, stages in slots.items()}
    wanted = assign(pipeline, hosts, counts)
    return State(pipeline, wanted, numbered(wanted.counts, slots))


def _here() -> list[Host]:
    from pipeline_runner.agent.facts import facts
    from pipeline_runner.plan.hosts import Host

    return [Host(name=socket.gethostname(), head=True, **facts())]


def _kept(pipeline: Pipeline) -> dict[str, int]:
    """Return what the journal of a run that no head has holds, by edge."""
    from pipeline_runner.queues.journal.inspection import backlogs

    return {each.name: each.queued for each in backlogs(pipeline.state_dir) or ()}


def _running(
    pipeline: Pipeline,
) -> tuple[State, list[Host], dict[str, int], dict[str, int]] | None:
    """Return what runs now, on which hosts, what waits in each edge, and what is parked.

    None without a head.
    """
    from pipeline_runner.config.parse import parse
    from pipeline_runner.head.control.client import ask
    from pipeline_runner.plan.assign import Plan
    from pipeline_runner.plan.diff import State
    from pipeline_runner.plan.hosts import Host

    try:
        answer = ask(pipeline.state_dir, "plan")
        facts = ask(pipeline.state_dir, "ps")
    except NoHead:
        return None
    slots: Slots = {
        host: {stage: tuple(indexes) for stage, indexes in stages.items()}
        for host, stages in answer["slots"].items()
    }
    counts = {host: {s: len(i) for s, i in stages.items()} for host, stages in slots.items()}
    # The file may have changed since the head read it. A head that does not tell its text is
    # compared by its workers alone.
    then = None
    if text := answer.get("text"):
        then, _ = parse(text, file=str(pipeline.file), environ=os.environ)
    hosts = [Host(**facts) for facts in answer["hosts"]]
    before = State(then or pipeline, Plan(counts, {}, {}, ()), slots)
    queued, parked = (
        {edge["name"]: edge["queued"] for edge in facts.get(key, ())} for key in ("edges", "parked")
    )
    return before, hosts, queued, parked
