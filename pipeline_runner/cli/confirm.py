"""Asking before something is gone for good; where nobody can answer, ``--yes`` is wanted."""

from __future__ import annotations

import sys

import click

from pipeline_runner.errors import UsageError


def sure(question: str, consequence: str, *, yes: bool) -> None:
    """Return if the person means it. Raises click.Abort on a no, UsageError without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            consequence, hint="there is no terminal to ask on: add --yes if you mean it"
        )
    click.confirm(question, abort=True, err=True)
