"""``runner check``: every fault of the file, before anything runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import click

from pipeline_runner.cli import output
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.cli.streams import may_go_unread
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
def check(
    common: CommonOptions, no_import: bool, form: Literal["text", "json", "github"]
) -> ExitCode:
    """Check the pipeline file and what its stages import. Exits 1 if there are errors."""
    from pipeline_runner.cli.problems import frames, judge
    from pipeline_runner.config import report
    from pipeline_runner.config.checks import durability_note

    judged = judge(common.file, tries_imports=not no_import, quiet=common.quiet)
    problems = judged.errors if common.quiet else judged.problems
    with may_go_unread():
        if common.json or form == "json":
            click.echo(json.dumps(report.as_json(problems), indent=2))
        elif form == "github":
            click.echo(report.github(problems), nl=bool(problems))
        elif problems:
            if judged.errors:  # first things first
                problems = tuple(problem for problem in problems if problem.severity != "note")
            # The problems are what was asked for, so here they are data and go to stdout.
            click.echo(frames(problems, judged.text, common.colour))
    if judged.errors:
        return ExitCode.ERRORS
    if judged.pipeline and not common.quiet:
        output.fine(praise(judged.pipeline, common, tried=not no_import))
        output.note(durability_note(judged.pipeline))
    return ExitCode.OK


def praise(pipeline: Pipeline, common: CommonOptions, *, tried: bool) -> str:
    """Return the line for a file without errors: what it describes, and how to go on."""
    from pipeline_runner.observe.quantity import plural

    size = f"{plural(len(pipeline.stages), 'stage')}, {plural(len(pipeline.edges), 'edge')}"
    imports = "every function imports" if tried else "imports not tried"
    bare = "" if not common.again else f" {common.file}"
    return f"{common.file} is fine: {size}, {imports}.  Run it: runner up{bare}"
