"""Every problem of a file, in the words of ``config.report``, and what trying its imports adds."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline_runner.cli import output
from pipeline_runner.cli.project import existing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline_runner.config.callables import ProbeResult
    from pipeline_runner.config.locate import KeyPath, Locator
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


def judge(
    file: Path,
    *,
    tries_imports: bool,
    quiet: bool = False,
    meanwhile: Callable[[], object] | None = None,
) -> Judged:
    """Read ``file`` and return all there is to say about it.

    With ``tries_imports`` what the stages run is imported too, in a process of its own; unless
    ``quiet``, imports that take long are told of. ``meanwhile()`` is called while it works. Raises
    UsageError if the file cannot be read.
    """
    from pipeline_runner.config.faults import in_file_order
    from pipeline_runner.config.parse import parse_all, read

    text = read(existing(file))
    parsed = parse_all(text, file=str(file), environ=os.environ)
    more: tuple[Problem, ...] = ()
    if parsed.sketch is not None and parsed.locator is not None:
        sketch = parsed.sketch.at(file.resolve())
        more = _beside(sketch, parsed.faulty, parsed.locator, tries_imports, quiet, meanwhile)
    pipeline = parsed.pipeline
    return Judged(
        None if pipeline is None else pipeline.at(file.resolve()),
        text,
        in_file_order((*parsed.problems, *more)),
    )


def _beside(
    sketch: Pipeline,
    faulty: frozenset[KeyPath],
    locator: Locator,
    tries_imports: bool,
    quiet: bool,
    meanwhile: Callable[[], object] | None,
) -> tuple[Problem, ...]:
    """Return what is wrong beside the file itself; where that is ``faulty``, as far as one can."""
    from pipeline_runner.config.callable_checks import probed
    from pipeline_runner.sync.checks import check_project
    from pipeline_runner.worker.probe.probe import probe

    sound = replace(sketch, stages=probed(sketch, faulty))
    results: dict[str, ProbeResult] = {}
    if tries_imports:
        with nullcontext() if quiet else _said_when_slow(sound):
            results = probe(sound, IMPORT_TIMEOUT_S, meanwhile)
    return check_project(sound, results, locator, faulty)


@contextmanager
def _said_when_slow(pipeline: Pipeline) -> Iterator[None]:
    """Say what is being imported, on stderr, once it has taken more than a moment."""
    modules = ", ".join(
        dict.fromkeys(stage.run.partition(":")[0] for stage in pipeline.stages.values())
    )
    timer = threading.Timer(_SAID_AFTER_S, output.note, [f"importing {modules} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
