"""Every problem of a file, in the words of ``config.report``, and what trying its imports adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import Problem

# Importing a large library can take a good part of a minute on a cold disk.
IMPORT_TIMEOUT_S = 60.0


def frames(problems: Sequence[Problem], text: str, colour: bool | None) -> str:
    """Return the problems as frames with carets, coloured unless ``colour`` is False.

    To be printed with ``click.echo``, which takes the colours out again where no terminal is.
    """
    from pipeline_runner.config.report import ANSI, PLAIN, render

    return render(problems, text, PLAIN if colour is False else ANSI)


def import_problems(pipeline: Pipeline, text: str, file: str) -> tuple[Problem, ...]:
    """Import what the stages run, in a process of its own, and return what is wrong with it.

    ``text`` is that of the pipeline's file, which the problems call ``file``.
    """
    from pipeline_runner.config.callable_checks import check_callables
    from pipeline_runner.config.locate import Locator
    from pipeline_runner.worker.probe import probe

    results = probe(pipeline, IMPORT_TIMEOUT_S)
    return check_callables(pipeline, results, Locator(text, file))
