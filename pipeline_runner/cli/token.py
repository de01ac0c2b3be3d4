"""``runner token``: a line that lets one machine join, for those that broadcasts do not reach."""

from __future__ import annotations

import json
import time

import click

from pipeline_runner.cli import output, project
from pipeline_runner.cli.options import CommonOptions, verb

_LONGEST_S = 24 * 3600.0


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    from pipeline_runner.config.quantities import parse_duration

    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    if not 0 < seconds <= _LONGEST_S:
        raise click.BadParameter("a token is good for a day at most", ctx, param)
    return seconds


@verb("token", facts=True)
@click.option(
    "--valid",
    default="10m",
    callback=_seconds,
    metavar="TIME",
    help="How long it can be used.  [default: 10m]",
)
def token(common: CommonOptions, valid: float) -> None:
    """Print a token that lets one machine join the run, once.

    It carries where the head is and how to know it, and is a secret until it is used:
    `runner token | ssh HOST runner join -` shows it to nobody.
    """
    from pipeline_runner.head.control.client import ask

    facts = ask(project.state_dir(common.file), "token", valid_s=valid)
    if common.json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(facts["token"])
    if not common.quiet:
        until = time.strftime("%H:%M", time.localtime(facts["expires"]))
        output.note(
            f"lets one machine join {facts['name']} until {until}: `runner join -` reads it there"
        )
