"""Every problem of a file, in the words of ``config.report``, and what trying its imports adds."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.cli import say
from pipeline_runner.cli.place import existing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import Problem

# Importing a large library can take a good part of a minute on a cold disk.
IMPORT_TIMEOUT_S = 60.0
_SAID_AFTER_S = 1.5  # a terminal that is silent for longer looks stuck


def frames(problems: Sequence[Problem], text: str, colour: bool | None) -> str:
    """Return the problems as frames with carets, coloured unless ``colour`` is False.

    To be printed with ``click.echo``, which takes the colours out again where no terminal is.
    """
    from pipeline_runner.config.report import ANSI, PLAIN, render

    return render(problems, text, PLAIN if colour is False else ANSI)


@dataclass(frozen=True, slots=True)
class Judged:
    """A file, read and judged: ``pipeline`` is None if there is an error that leaves none."""

    pipeline: Pipeline | None
    text: str
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the pipeline from running."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def judge(file: Path, *, tries_imports: bool, quiet: bool = False) -> Judged:
    """Read ``file`` and return all there is to say about it.

    With ``tries_imports`` what the stages run is imported too, in a process of its own; unless
    ``quiet``, imports that take long are told of meanwhile. Raises UsageError if the file cannot be
    read.
    """
    from pipeline_runner.config.faults import in_file_order
    from pipeline_runner.config.parse import parse, read
    from pipeline_runner.sync.checks import check_files

    text = read(existing(file))
    pipeline, problems = parse(text, file=str(file), environ=os.environ)
    if pipeline is not None:
        pipeline = pipeline.at(file.resolve())
        problems = in_file_order((*problems, *check_files(pipeline, text, str(file))))
        if tries_imports:
            problems = in_file_order(
                (*problems, *_import_problems(pipeline, text, str(file), quiet))
            )
    return Judged(pipeline, text, problems)


def _import_problems(pipeline: Pipeline, text: str, file: str, quiet: bool) -> tuple[Problem, ...]:
    from pipeline_runner.config.callable_checks import check_callables
    from pipeline_runner.config.locate import Locator
    from pipeline_runner.worker.probe import probe

    with nullcontext() if quiet else _said_when_slow(pipeline):
        results = probe(pipeline, IMPORT_TIMEOUT_S)
    return check_callables(pipeline, results, Locator(text, file))


@contextmanager
def _said_when_slow(pipeline: Pipeline) -> Iterator[None]:
    """Say what is being imported, on stderr, once it has taken more than a moment."""
    modules = ", ".join(
        dict.fromkeys(stage.run.partition(":")[0] for stage in pipeline.stages.values())
    )
    timer = threading.Timer(_SAID_AFTER_S, say.note, [f"importing {modules} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
