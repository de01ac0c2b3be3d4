"""``runner ps``: one look at a run."""

from __future__ import annotations

import json

import click

from pipeline_runner.cli.elsewhere import head_of
from pipeline_runner.cli.manners import Manner, verb


@verb("ps", facts=True, elsewhere=True)
@click.option("--hosts", "only_hosts", is_flag=True, help="Show the hosts alone, and all of each.")
def ps(manner: Manner, only_hosts: bool) -> None:
    """Show stages, queues and hosts of the run, once. -v adds every worker."""
    from pipeline_runner.head.control import ask

    facts = ask(head_of(manner), "ps")
    if manner.json:
        click.echo(json.dumps(facts["hosts"] if only_hosts else facts, indent=2))
        return
    from pipeline_runner.cli import terminal
    from pipeline_runner.observe.hosts import hosts
    from pipeline_runner.observe.ps import ps as lines
    from pipeline_runner.observe.snapshot import Snapshot

    snapshot = Snapshot.from_json(facts)
    if only_hosts:
        shown = hosts(snapshot, terminal.width())
    else:
        shown = lines(snapshot, terminal.width(), workers=manner.verbose, again=manner.again)
    terminal.show(shown, manner.colour)
