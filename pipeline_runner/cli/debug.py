"""``runner debug``: the whole pipeline in this process, for a debugger."""

from __future__ import annotations

import json
import os
import pprint
import sys
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import project
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import ExitCode, UsageError
from pipeline_runner.escaping import escaped

if TYPE_CHECKING:
    from pipeline_runner.config.pipeline import Pipeline


@verb("debug", file="argument")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Take N items from each source."
)
@click.option(
    "--stage", metavar="S", help="Run stage S alone, on --item.", shell_complete=project.stage_names
)
@click.option("--item", metavar="JSON", help="The one item that --stage gets.")
def debug(
    common: CommonOptions, limit: int | None, stage: str | None, item: str | None
) -> ExitCode:
    """Run the pipeline in one process, for a debugger.

    There are no workers and no network. An error of a stage ends it, with its traceback.
    """
    from pipeline_runner.worker.exceptions import format_traceback

    pipeline = project.load(common.file)
    only = _only(pipeline, stage, item)
    enter_project(pipeline)
    try:
        _run(pipeline, common, limit, only)
    except Exception as fault:  # noqa: BLE001  (whatever user code raises is the answer)
        click.echo(format_traceback(fault), err=True, nl=False)
        return ExitCode.ERRORS
    return ExitCode.OK


def _run(
    pipeline: Pipeline, common: CommonOptions, limit: int | None, only: tuple[str, object] | None
) -> None:
    from pipeline_runner.observe.quantity import plural
    from pipeline_runner.worker.inline import run

    if only is not None:
        stage, item = only
        for output in run(pipeline, only=stage, items=[item])[stage]:
            click.echo(escaped(pprint.pformat(output, width=100)))
        return
    outputs = run(pipeline, limit=limit)
    if not common.quiet:
        for stage, values in outputs.items():
            click.echo(f"{stage}: {plural(len(values), 'item')}", err=True)


def _only(pipeline: Pipeline, stage: str | None, item: str | None) -> tuple[str, Any] | None:
    """Return the stage to run alone and its item. Raises UsageError for one without the other."""
    if stage is None and item is None:
        return None
    if stage is None or item is None:
        raise UsageError(
            "--stage and --item go together", hint="""runner debug --stage square --item 7"""
        )
    if stage not in pipeline.stages:
        raise UsageError(f"there is no stage {stage}", hint=f"stages: {', '.join(pipeline.stages)}")
    if pipeline.kind(stage) == "source":
        raise UsageError(f"{stage} is a source: it takes no item", hint="runner debug --limit 1")
    try:
        return stage, json.loads(item)
    except ValueError as fault:
        raise UsageError(
            f"--item is not JSON: {fault}", hint="""a string needs quotes: --item '"x.heic"'"""
        ) from None


def enter_project(pipeline: Pipeline) -> None:
    """Stand where a worker stands: in the project's folder, its modules found first."""
    sys.dont_write_bytecode = True
    os.chdir(pipeline.root)
    os.environ.setdefault("RUNNER_OUTPUT", str(pipeline.root))
    sys.path.insert(0, str(pipeline.root))
