"""``runner up``: run the pipeline here and watch it."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import output, project
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.cli.streams import may_go_unread
from pipeline_runner.errors import AlreadyRunning, ExitCode, NoHead, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.cli.terminal import Ui
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.hosts.local_agent import SpareAgent
    from pipeline_runner.head.run import UpOptions


@verb("up", file="argument", facts=True)
@click.option("-d", "--detach", is_flag=True, help="Start it in the background.")
@click.option(
    "--local",
    is_flag=True,
    envvar="RUNNER_LOCAL",
    help="No network: this machine alone.  [env: RUNNER_LOCAL=1]",
)
@click.option("--no-work", is_flag=True, help="Serve the queues, but run no worker here.")
@click.option("--fresh", is_flag=True, help="Forget what an earlier run left queued. Asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-import", is_flag=True, help="Do not try whether the functions can be imported.")
@click.option(
    "--ui",
    type=click.Choice(["auto", "live", "plain", "none"]),
    default="auto",
    help="How to show the run.  [default: auto: live on a terminal, else plain lines]",
)
def up(
    common: CommonOptions,
    detach: bool,
    local: bool,
    no_work: bool,
    fresh: bool,
    yes: bool,
    no_import: bool,
    ui: Ui,
) -> int:
    """Run the pipeline until it is finished.

    Ctrl-C once finishes what the workers hold; again stops now. If it runs already, this only
    watches it, and Ctrl-C detaches.
    """
    from pipeline_runner.cli import attach as watching

    state = project.state_dir(common.file)
    head = watching.runs(state)
    if head is not None:
        return _watch(common, state, ui, head, detach=detach, fresh=fresh)
    ahead = _Ahead(wanted=not detach, works=not no_work)
    try:
        pipeline = _sound(common, tries_imports=not no_import, meanwhile=ahead.load)
        if fresh:
            fresh = _sure_to_forget(pipeline, yes)
        if detach:
            from pipeline_runner.cli.detach import detach as start_detached

            return start_detached(pipeline, common, local=local, no_work=no_work, fresh=fresh)
        from pipeline_runner.head.run import UpOptions

        options = UpOptions(
            fresh=fresh, work=not no_work, local=local, exits=True, spare=ahead.spare
        )
        return _run(pipeline, common, ui, options)
    except AlreadyRunning:
        if fresh:
            raise
        ahead.drop()
        try:  # another head was quicker
            return watching.attach(state, common, ui, starting=True)
        except NoHead:
            pass
        raise
    finally:
        ahead.drop()


class _Ahead:
    """What a run needs, made ready while another interpreter tries the user's imports."""

    def __init__(self, *, wanted: bool, works: bool) -> None:
        self._wanted = wanted
        self._works = works
        self.spare: SpareAgent | None = None

    def load(self) -> None:
        """Import what serves the run, and have its agent do so too."""
        if not self._wanted:
            return
        from pipeline_runner.head.hosts.local_agent import SpareAgent

        if self._works:
            with suppress(OSError):  # the run tells of it, if there is no process then either
                self.spare = SpareAgent()
        import pipeline_runner.cli.terminal
        import pipeline_runner.head.run  # noqa: F401

    def drop(self) -> None:
        """End the agent, if the run never used it."""
        if self.spare is not None:
            self.spare.drop()


def _watch(
    common: CommonOptions, state: Path, ui: Ui, head: dict[str, Any], *, detach: bool, fresh: bool
) -> int:
    """Do what a second `up` can: look on.

    Raises AlreadyRunning if it was to begin anew, NestedRun if a worker of that run would look on.
    """
    from pipeline_runner.cli.attach import attach
    from pipeline_runner.worker.nested_runs import refuse

    refuse(head["name"])
    if fresh:
        raise AlreadyRunning(
            f"{head['name']} runs already, by pid {head['pid']}: --fresh would forget its items",
            hint=f"stop it first: runner down{common.again}",
        )
    if not detach:
        return attach(state, common, ui)
    if common.json:
        click.echo(json.dumps({"pid": head["pid"], "log": str(state / "logs" / "up.log")}))
    elif not common.quiet:
        click.echo(f"{head['name']} runs already, by pid {head['pid']}", err=True)
        click.echo(f"watch it:  runner top{common.again}", err=True)
        click.echo(f"stop it:   runner down{common.again}", err=True)
    return ExitCode.OK


def _run(pipeline: Pipeline, common: CommonOptions, ui: Ui, options: UpOptions) -> int:
    from pipeline_runner.cli.terminal import screen as choose
    from pipeline_runner.config.checks import durability_note
    from pipeline_runner.head.run import run

    if pipeline.durability == "memory" and not common.quiet and ui != "none":
        output.note(durability_note(pipeline))
    screen = choose(ui, common, pipeline)
    try:
        result = run(pipeline, screen, options)
    finally:
        screen.restore()
    if common.json:
        with may_go_unread():
            click.echo(json.dumps(result.snapshot.as_json(), indent=2))
    return int(result.exit_code)


def _sound(
    common: CommonOptions, *, tries_imports: bool, meanwhile: Callable[[], object]
) -> Pipeline:
    """Return the pipeline, its warnings said. Raises InvalidPipeline.

    What cannot be imported is an error here already: better now than in every worker.
    """
    from pipeline_runner.cli.problems import frames, judge
    from pipeline_runner.errors import InvalidPipeline

    judged = judge(
        common.file, tries_imports=tries_imports, quiet=common.quiet, meanwhile=meanwhile
    )
    if judged.pipeline is None or judged.errors:
        raise InvalidPipeline(judged.problems, judged.text)
    warnings = [problem for problem in judged.problems if problem.severity == "warning"]
    if warnings and not common.quiet:
        text = frames(warnings, judged.text, common.colour)
        click.echo(text, err=True, color=common.colour)
    return judged.pipeline


def _sure_to_forget(pipeline: Pipeline, yes: bool) -> bool:
    """Ask before what is queued is forgotten; where nobody can answer, want ``--yes``."""
    if yes or not (pipeline.state_dir / "journal").exists():
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            f"--fresh forgets what is queued for {pipeline.name}",
            hint="there is no terminal to ask on: add --yes if you mean it",
        )
    click.confirm(f"Forget everything that is queued for {pipeline.name}?", abort=True, err=True)
    return True
