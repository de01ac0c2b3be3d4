"""``runner down``: drain and stop a run."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli import place, say
from pipeline_runner.cli.manners import Manner, verb
from pipeline_runner.errors import NoHead, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_EVERY_S = 0.25


@verb("down")
@click.option("--now", is_flag=True, help="Do not wait for what is in work. Asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Return at once, while it still drains.")
def down(manner: Manner, now: bool, yes: bool, no_wait: bool) -> None:
    """Finish what is in work and stop the run.

    Ctrl-C stops the waiting, not the stopping.
    """
    from pipeline_runner.head.control import ask

    state_dir = place.state_dir(manner.file)
    if now and not yes:
        _sure(sys.stdin.isatty())
    ask(state_dir, "down", now=now)
    if not no_wait:
        _wait(state_dir, manner)
    if not manner.quiet:
        click.echo("asked to stop" if no_wait else "stopped", err=True)


def _sure(can_ask: bool) -> None:
    if not can_ask:
        raise UsageError(
            "--now stops workers in the middle of their items",
            hint="there is no terminal to ask on: add --yes if you mean it",
        )
    click.confirm("Stop workers in the middle of their items?", abort=True, err=True)


def _wait(state_dir: Path, manner: Manner) -> None:
    """Wait until no head answers; each change of what it waits for is said once."""
    from pipeline_runner.head.control import ask
    from pipeline_runner.observe.sentences import waiting_for
    from pipeline_runner.observe.snapshot import Snapshot

    said = ""
    while True:
        try:
            left = waiting_for(Snapshot.from_json(ask(state_dir, "ps")))
        except NoHead:
            break
        if left and not said and not manner.quiet:
            say.note(f"waits for {left}")
            said = left
        time.sleep(_LOOK_EVERY_S)
    # It stops answering a little before its process, and what that still writes, has ended.
    while place.head_pid(state_dir) is not None:
        time.sleep(_LOOK_EVERY_S)
