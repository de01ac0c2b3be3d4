"""``runner key show|rotate``: the key of a pipeline. Whoever has it can run code on every host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import output, project
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import NoHead, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def key() -> None:
    """Show the pipeline's key, or replace it.

    Whoever has it can join, and run code on every host.
    """


@verb("show")
def show(common: CommonOptions) -> None:
    """Print the key, for RUNNER_KEY or a file of another machine.

    `runner token` is safer for a machine that you can reach: nothing to keep secret stays behind.
    """
    from pipeline_runner.cluster import identity

    name = _name(common.file)
    if not _exists(name):
        raise UsageError(
            f"{name} has no key yet", hint="`runner up` makes one when it is first needed"
        )
    click.echo(identity.load_or_make(name, loopback=True).key.decode())
    if not common.quiet:
        output.note(f"the key of {name}: keep it secret, it lets machines run code on every host")


@verb("rotate", facts=True)
def rotate(common: CommonOptions) -> None:
    """Make a new key. Joined hosts get it; the old one is not taken any more after a minute.

    A machine that is switched off meanwhile needs a token to join again.
    """
    facts = _rotate(common.file)
    if common.json:
        click.echo(json.dumps(facts, indent=2))
    elif not common.quiet:
        from pipeline_runner.observe.quantity import plural

        hosts = facts["hosts"]
        had = f"; {plural(hosts, 'joined host')} got it" if hosts else ""
        output.fine(f"{facts['name']} has a new key{had}")
        if facts["former_s"]:
            output.note(f"the old one is taken for {facts['former_s']:.0f} s more")
        output.note("any other machine needs a token to join again: runner token")


def _rotate(file: Path) -> dict[str, Any]:
    from pipeline_runner.cluster import identity
    from pipeline_runner.head.control.client import ask

    state = project.state_dir(file)
    try:
        return ask(state, "rotate")
    except NoHead:
        new = identity.renew(_name(file))
        return {"name": new.name, "hosts": 0, "former_s": 0.0}


def _name(file: Path) -> str:
    return project.state_dir(file).name


def _exists(name: str) -> bool:
    import os

    from pipeline_runner.cluster import identity

    return bool(os.environ.get("RUNNER_KEY", "").strip()) or identity.key_file(name).exists()


key.add_command(show)
key.add_command(rotate)
