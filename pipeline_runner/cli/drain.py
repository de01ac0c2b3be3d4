"""``runner drain HOST``: let a host finish what it holds, and release it."""

from __future__ import annotations

import click

from pipeline_runner.cli.find_head import head_of
from pipeline_runner.cli.options import CommonOptions, verb


@verb("drain", elsewhere=True)
@click.argument("host")
def drain(common: CommonOptions, host: str) -> None:
    """Empty a HOST: it is given nothing more, and leaves.

    It leaves when its workers are done; its share goes to other hosts at once.
    """
    from pipeline_runner.head.control.client import ask

    ask(head_of(common), "drain", host=host)
    if not common.quiet:
        click.echo(f"{host} drains: runner ps{common.again} shows what it still holds", err=True)
