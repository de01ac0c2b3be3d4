"""``runner check``: every fault of the file, before anything runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Literal

import click

from pipeline_runner.cli import place, say
from pipeline_runner.cli.manners import Manner, verb
from pipeline_runner.errors import ExitCode

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline


@verb("check", file="argument", facts=True)
@click.option("--no-import", is_flag=True, help="Do not try whether the functions can be imported.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="How to print the problems.  [default: text]",
)
def check(manner: Manner, no_import: bool, form: Literal["text", "json", "github"]) -> ExitCode:
    """Check the pipeline file and what its stages import. Exits 1 if there are errors."""
    from pipeline_runner.cli.problems import frames, import_problems
    from pipeline_runner.config import report
    from pipeline_runner.config.checks import durability_note
    from pipeline_runner.config.faults import in_file_order
    from pipeline_runner.config.parse import parse, read

    text = read(place.existing(manner.file))
    pipeline, problems = parse(text, file=str(manner.file), environ=os.environ)
    if pipeline and not no_import:
        found = import_problems(pipeline.at(manner.file.resolve()), text, str(manner.file))
        problems = in_file_order((*problems, *found))
    failed = any(problem.severity == "error" for problem in problems)
    if manner.quiet:
        problems = tuple(problem for problem in problems if problem.severity == "error")
    if manner.json or form == "json":
        click.echo(json.dumps(report.as_json(problems), indent=2))
    elif form == "github":
        click.echo(report.github(problems), nl=bool(problems))
    elif problems:
        # The problems are what was asked for, so here they are data and go to stdout.
        click.echo(frames(problems, text, manner.colour))
    if pipeline and not failed and not manner.quiet:
        say.fine(praise(pipeline, manner, tried=not no_import))
        say.note(durability_note(pipeline))
    return ExitCode.ERRORS if failed else ExitCode.OK


def praise(pipeline: Pipeline, manner: Manner, *, tried: bool) -> str:
    """Return the line for a file without errors: what it describes, and how to go on."""
    from pipeline_runner.observe.quantity import plural

    size = f"{plural(len(pipeline.stages), 'stage')}, {plural(len(pipeline.edges), 'edge')}"
    imports = "every function imports" if tried else "imports not tried"
    bare = "" if not manner.again else f" {manner.file}"
    return f"{manner.file} is fine: {size}, {imports}.  Run it: runner up{bare}"
