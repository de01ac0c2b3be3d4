"""``runner doctor``: what of this machine could keep a pipeline from running, and the cure."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import ExitCode

_COLOURS = {"ok": "green", "warn": "yellow", "error": "red"}


@verb("doctor", facts=True)
def doctor(common: CommonOptions) -> int:
    """Look for what may be wrong with this machine.

    Ports, networks, clock, versions, disk and limits: each line says how one of them is, and what
    would cure it. Exits 1 if one is in error.
    """
    from pipeline_runner.cli.examination import examine

    found = []
    for finding in examine(common.file):
        found.append(finding)
        if common.json or (common.quiet and finding.state == "ok"):
            continue
        state = click.style(f"{finding.state:<5}", fg=_COLOURS[finding.state])
        click.echo(f"{state}  {finding.name:<10}  {finding.text}", color=common.colour)
        if finding.cure:
            cure = click.style("cure", fg="cyan")
            click.echo(f"{'':<19}{cure}: {finding.cure}", color=common.colour)
    if common.json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    return ExitCode.ERRORS if any(each.state == "error" for each in found) else ExitCode.OK
