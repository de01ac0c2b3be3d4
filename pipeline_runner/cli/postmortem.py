"""One dead letter's item, run here again, with a debugger where the user's code failed."""

from __future__ import annotations

import os
import pdb  # noqa: T100  (a debugger is what was asked for)
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline_runner.cli import output as say
from pipeline_runner.cli import project
from pipeline_runner.cli.debug import enter_project
from pipeline_runner.errors import ExitCode, RunnerError
from pipeline_runner.escaping import escaped

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from pipeline_runner.cli.options import CommonOptions
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.queues.dead_letters import DeadLetter


def examine(letter: DeadLetter, common: CommonOptions) -> ExitCode:
    """Run the letter's item in its stage, in this process; if it fails, open pdb there.

    Raises RunnerError if there is no item, or no such stage any more.
    """
    from pipeline_runner.worker.exceptions import format_traceback
    from pipeline_runner.worker.inline import run

    pipeline = project.load(common.file)
    if not letter.has_item:
        raise RunnerError(
            f"dead letter {letter.letter} has no item to run",
            hint=f"look at it: runner errors show {letter.letter}{common.again}",
        )
    if letter.stage not in pipeline.stages:
        known = ", ".join(pipeline.stages)
        raise RunnerError(f"the file has no stage {letter.stage}", hint=f"its stages: {known}")
    again = common.again and f" -f {pipeline.file}"  # the working directory changes
    enter_project(pipeline)
    os.environ.update(pipeline.stages[letter.stage].env)
    try:
        outputs = run(pipeline, only=letter.stage, items=[letter.payload()])[letter.stage]
    except Exception as fault:  # noqa: BLE001  (whatever user code raises is what is looked for)
        click.echo(format_traceback(fault), err=True, nl=False)
        _open(fault, pipeline)
        return ExitCode.ERRORS
    for output in outputs:
        click.echo(escaped(repr(output)))
    say.fine(f"{letter.stage} takes it here.  Retry it: runner errors retry {letter.letter}{again}")
    return ExitCode.OK


def _open(fault: Exception, pipeline: Pipeline) -> None:
    trace = fault.__traceback__
    assert trace is not None, "it was raised"
    debugger = _PostMortem(pipeline.root)
    debugger.reset()
    debugger.interaction(None, trace)


class _PostMortem(pdb.Pdb):
    """pdb that starts in the innermost frame of the project: not in the library it called."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def setup(self, f: FrameType | None, tb: TracebackType | None) -> Any:
        """Choose the frame, as well as what pdb does."""
        result = super().setup(f, tb)
        own = [i for i, (frame, _line) in enumerate(self.stack) if _is_under(frame, self._root)]
        if own:
            self.curindex = own[-1]
            self.curframe = self.stack[self.curindex][0]
            self.curframe_locals = self.curframe.f_locals
        return result


def _is_under(frame: FrameType, root: Path) -> bool:
    path = Path(frame.f_code.co_filename)
    return root in path.parents and "site-packages" not in path.parts
