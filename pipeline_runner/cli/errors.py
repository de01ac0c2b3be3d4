"""``runner errors list|show|retry|drop``: dead letters, with or without a head."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import place
from pipeline_runner.cli.letters import drop, retry
from pipeline_runner.cli.manners import Manner, verb
from pipeline_runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from pipeline_runner.queues.deadletters import DeadLetter

# Wide enough for most values, and a screen of them stays a screen.
_PAYLOAD_LINES = 40


@click.group()
def errors() -> None:
    """List, retry or drop dead letters: items that failed for good.

    Each is kept with its payload and its traceback.
    """


@verb("list", facts=True)
def list_(manner: Manner) -> None:
    """List the dead letters, oldest first."""
    letters = _letters(manner)
    if manner.json:
        click.echo(json.dumps([_facts(letter) for letter in letters], indent=2))
        return
    if not letters:
        if not manner.quiet:
            click.echo("no dead letters", err=True)
        return
    from pipeline_runner.cli import terminal
    from pipeline_runner.observe import letters as screen

    terminal.show(screen.table([_facts(x) for x in letters], terminal.width()), manner.colour)
    if not manner.quiet:
        click.echo(f"look at one:  runner errors show {letters[-1].letter}{manner.again}", err=True)


@verb("show", facts=True)
@click.argument("letter", metavar="ID", type=int)
@click.option("--pdb", "debugs", is_flag=True, help="Run its item here, and debug what fails.")
def show(manner: Manner, letter: int, debugs: bool) -> int:
    """Show one dead letter, with payload and traceback."""
    letters = _letters(manner)
    found = next((each for each in letters if each.letter == letter), None)
    if found is None:
        raise UsageError(f"there is no dead letter {letter}", hint=which(letters, manner))
    if debugs:
        from pipeline_runner.cli.postmortem import examine

        return examine(found, manner)
    with place.modules_of(manner.file):
        payload = _payload(found)
    if manner.json:
        facts = _facts(found) | {"traceback": found.traceback, "payload": payload}
        click.echo(json.dumps(facts, indent=2))
        return ExitCode.OK
    from pipeline_runner.cli import terminal
    from pipeline_runner.observe import letters as screen

    terminal.show(screen.page(_facts(found), payload, found.traceback), manner.colour)
    return ExitCode.OK


errors.add_command(list_)
errors.add_command(show)
errors.add_command(retry)
errors.add_command(drop)


def _letters(manner: Manner) -> list[DeadLetter]:
    from pipeline_runner.queues.deadletters import read

    return sorted(read(place.state_dir(manner.file)), key=lambda letter: letter.letter)


def _facts(letter: DeadLetter) -> dict[str, Any]:
    names = ("letter", "ts", "stage", "edge", "item_id", "host", "pid", "release", "attempts")
    return {name: getattr(letter, name) for name in (*names, "error", "cause")}


def _payload(letter: DeadLetter) -> str:
    """Return the payload as Python would show it, or why it cannot be shown."""
    import pprint

    from pipeline_runner.worker.exceptions import describe

    if letter.body_file is None:
        return letter.shown
    try:
        lines = pprint.pformat(letter.payload(), width=100).splitlines()
    except (Exception, SystemExit) as fault:  # noqa: BLE001  (unpickling runs the user's own code)
        return f"<cannot be read here: {describe(fault)}>"
    if len(lines) > _PAYLOAD_LINES:
        more = len(lines) - _PAYLOAD_LINES
        lines = [*lines[:_PAYLOAD_LINES], f"... {more} more lines"]
    return "\n".join(lines)


def which(letters: list[DeadLetter], manner: Manner) -> str:
    """Return which letters there are, for somebody who named another."""
    if not letters:
        return "there is none at all"
    first, last = letters[0].letter, letters[-1].letter
    span = str(first) if first == last else f"{first} to {last}"
    return f"there is {span}: runner errors list{manner.again}"
