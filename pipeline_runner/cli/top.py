"""``runner top``: watch a run that another process runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline_runner.cli.find_head import head_of
from pipeline_runner.cli.options import CommonOptions, verb

if TYPE_CHECKING:
    from pipeline_runner.cli.terminal import Ui


@verb("top", facts=True, elsewhere=True)
@click.option(
    "--ui",
    type=click.Choice(["auto", "live", "plain", "none"]),
    default="auto",
    help="How to show the run.  [default: auto: live on a terminal, else plain lines]",
)
def top(common: CommonOptions, ui: Ui) -> int:
    """Watch the run until it ends, and exit as it does.

    Ctrl-C ends the watching, not the run.
    """
    from pipeline_runner.cli.attach import attach

    return attach(head_of(common), common, ui, verb="top")
