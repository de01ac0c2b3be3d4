"""``runner down``: drain and stop a run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli import output, project
from pipeline_runner.cli.find_head import head_of
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import NoHead, TimedOut, UsageError

if TYPE_CHECKING:
    from pipeline_runner.wire.endpoint import Endpoint

_LOOK_EVERY_S = 0.25


@verb("down", elsewhere=True)
@click.option("--now", is_flag=True, help="Do not wait for what is in work. Asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Return at once, while it still drains.")
def down(common: CommonOptions, now: bool, yes: bool, no_wait: bool) -> None:
    """Finish what is in work and stop the run.

    Ctrl-C stops the waiting, not the stopping.
    """
    from pipeline_runner.head.control.client import ask

    head = head_of(common)
    if now and not yes:
        _sure(sys.stdin.isatty())
    ask(head, "down", now=now)
    if not no_wait:
        _wait(head, common)
    if not common.quiet:
        click.echo("asked to stop" if no_wait else "stopped", err=True)


def _sure(can_ask: bool) -> None:
    if not can_ask:
        raise UsageError(
            "--now stops workers in the middle of their items",
            hint="there is no terminal to ask on: add --yes if you mean it",
        )
    click.confirm("Stop workers in the middle of their items?", abort=True, err=True)


def _wait(head: Path | Endpoint, common: CommonOptions) -> None:
    """Wait until no head answers; what it waits for is said once."""
    from pipeline_runner.head.control.client import ask
    from pipeline_runner.observe.sentences import waiting_for
    from pipeline_runner.observe.snapshot import Snapshot

    said = ""
    while True:
        try:
            left = waiting_for(Snapshot.from_json(ask(head, "ps")))
        except TimedOut:
            continue  # it is busy stopping
        except NoHead:
            break
        if left and not said and not common.quiet:
            output.note(f"waits for {left}")
            said = left
        time.sleep(_LOOK_EVERY_S)
    # It stops answering a little before its process, and what that still writes, has ended.
    while isinstance(head, Path) and project.head_pid(head) is not None:
        time.sleep(_LOOK_EVERY_S)
