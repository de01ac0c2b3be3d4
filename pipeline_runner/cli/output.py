"""Words for the person at the terminal: all of it on stderr, so that stdout holds only data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def wanted_colour(arguments: Sequence[str], environ: Mapping[str, str]) -> bool | None:
    """Return whether to colour: True, False, or None for "if it is a terminal".

    Read from the bare arguments, because an error in the arguments is coloured too.
    Source: https://no-color.org for ``NO_COLOR``.
    """
    chosen = "auto"
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--color" and place + 1 < len(arguments):
            chosen = arguments[place + 1]
        elif argument.startswith("--color="):
            chosen = argument.partition("=")[2]
    if chosen in ("always", "never"):
        return chosen == "always"
    return False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None


def error(message: str, *, hint: str = "", colour: bool | None = None) -> None:
    """Say what went wrong and, in a line of its own, what would cure it."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {message}", err=True, color=colour)
    if hint:
        click.echo(f"{click.style('hint', fg='cyan')}: {hint}", err=True, color=colour)


def note(message: str) -> None:
    """Say something worth knowing that stops nothing."""
    click.echo(click.style(message, dim=True), err=True)


def fine(message: str) -> None:
    """Say that all is well."""
    click.echo(click.style(message, fg="green"), err=True)
