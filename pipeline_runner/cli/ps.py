"""``runner ps``: one look at a run, or at how the last one ended."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import project
from pipeline_runner.cli.find_head import head_of
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import NoHead, RunnerError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.head.last_run import LastRun


@verb("ps", facts=True, elsewhere=True)
@click.option("--hosts", "only_hosts", is_flag=True, help="Show the hosts alone, and all of each.")
def ps(common: CommonOptions, only_hosts: bool) -> None:
    """Show stages, queues and hosts of the run, once. -v adds every worker.

    Without a run it shows how the last one ended, and exits 3 all the same.
    """
    from pipeline_runner.head.control.client import ask

    try:
        facts = ask(head_of(common), "ps")
    except NoHead:
        if not common.pipeline and not only_hosts:
            _show_last(common)
        raise
    if common.json:
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
        shown = lines(snapshot, terminal.width(), workers=common.verbose, again=common.again)
    terminal.show(shown, common.colour)


def _show_last(common: CommonOptions) -> None:
    """Print how the last run of the file's pipeline ended, if there was one."""
    from pipeline_runner.head.last_run import recall

    try:
        state = project.state_dir(common.file)
    except RunnerError:
        return
    last = recall(state)
    if common.json:
        if last is not None:
            click.echo(json.dumps(_facts(last), indent=2))
    elif last is not None:
        _draw(last, common)
    elif (state / "journal").exists():
        click.echo(_killed(state, common))


def _facts(last: LastRun) -> dict[str, Any]:
    ended = {"ended": last.ended, "exit_code": int(last.exit_code), "error": last.error}
    return last.snapshot.as_json() | ended


def _draw(last: LastRun, common: CommonOptions) -> None:
    from rich.text import Text

    from pipeline_runner.cli import terminal
    from pipeline_runner.observe.quantity import duration
    from pipeline_runner.observe.sentences import stays_queued
    from pipeline_runner.observe.summary import summary

    final = last.snapshot
    left = sum(edge.queued + edge.leased for edge in final.edges)
    is_lost = final.durability == "memory"
    ago = duration(max(0.0, time.time() - last.ended))
    lines = [
        Text(f"the last run ended {ago} ago, with exit code {last.exit_code:d}", "bold"),
        *summary(final, left if is_lost else 0, terminal.width(), again=common.again),
    ]
    if last.error:
        lines.append(Text(last.error, "red"))
    elif left and not is_lost:
        lines.append(Text(stays_queued(left)))
    terminal.show(lines, common.colour)


def _killed(state: Path, common: CommonOptions) -> str:
    """Return what there is to say of a run whose head did not get to say how it ended."""
    from pipeline_runner.observe.quantity import plural
    from pipeline_runner.queues.journal.inspection import backlogs

    left = plural(sum(each.queued for each in backlogs(state) or ()), "item")
    goes_on = f"`runner up{common.again}` goes on with it"
    return f"the last run was killed, or its machine was; {left} queued: {goes_on}"
