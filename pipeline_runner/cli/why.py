"""``runner why STAGE``: where its workers are, where not, and what holds it back."""

from __future__ import annotations

import json

import click

from pipeline_runner.cli import project
from pipeline_runner.cli.find_head import head_of
from pipeline_runner.cli.options import CommonOptions, verb


@verb("why", facts=True, elsewhere=True)
@click.argument("stage", shell_complete=project.stage_names)
def why(common: CommonOptions, stage: str) -> None:
    """Say why STAGE runs where it runs, and not elsewhere."""
    from pipeline_runner.head.control.client import ask

    answer = ask(head_of(common), "why", stage=stage)
    if common.json:
        click.echo(json.dumps(answer["explanation"], indent=2))
    else:
        click.echo("\n".join(answer["text"]))
