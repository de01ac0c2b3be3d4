"""For tests of user code: a whole pipeline in the test's own process, without workers.

from pipeline_runner.testing import run_inline

def test_squares():
    assert run_inline("pipeline.toml", {"numbers": [1, 2, 3]})["keep"] == [1, 4, 9]
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import invalidate_caches
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline_runner.config.faults import did_you_mean
from pipeline_runner.config.parse import load
from pipeline_runner.config.report import render
from pipeline_runner.errors import InvalidPipeline
from pipeline_runner.worker.inline import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline_runner.config.pipeline import Pipeline

__all__ = ["Described", "run_inline"]


class Described(Protocol):
    """What has a validated pipeline: ``pipeline_runner.Pipeline``."""

    @property
    def spec(self) -> Pipeline:
        """The pipeline, validated."""


def run_inline(
    pipeline: str | Path | Described,
    items: Mapping[str, Iterable[Any]] | None = None,
    *,
    limit: int | None = None,
) -> dict[str, list[Any]]:
    """Run ``pipeline``, a file or a ``Pipeline``, here; return by sink what its calls returned.

    ``items`` has the values that enter, by stage: those of a source as if it had given them, those
    of another stage as if an edge had brought them. No source is called then. Without ``items``
    the sources are, each for at most ``limit`` values. ``functions.py``::

        def numbers():
            yield from range(1_000_000)

        def square(number):
            return number * number

        def keep(number):       # a sink that returns something, for its test
            return number

    Here it is tested:

        >>> from pipeline_runner import Pipeline
        >>> from pipeline_runner.testing import run_inline
        >>> stages = {name: f"functions:{name}" for name in ("numbers", "square", "keep")}
        >>> squares = Pipeline.build("squares", stages, [("numbers", "square", "keep")])
        >>> run_inline(squares, {"numbers": [1, 2, 3]})
        {'keep': [1, 4, 9]}
        >>> run_inline(squares, limit=2)
        {'keep': [0, 1]}
        >>> run_inline(squares, {"square": ["x"]})
        Traceback (most recent call last):
        TypeError: can't multiply sequence by non-int of type 'str'

    One call comes after the other, in the project's folder, with its modules found first.
    ``context()`` works, and values pass through the real codec, so what cannot travel between
    processes fails here too. Nothing is retried: an exception of user code arrives as it was
    raised. A stage's ``env`` is not set, and no timeout or limit is enforced.

    Raises InvalidPipeline, UsageError for a file that cannot be read, ValueError for items of a
    stage that is not there, RuntimeError where another project's module has the name of one.
    """
    spec = _loaded(Path(pipeline)) if isinstance(pipeline, (str, Path)) else pipeline.spec
    for name in items or ():
        if name not in spec.stages:
            meant = did_you_mean(name, spec.stages) or f"stages: {', '.join(spec.stages)}"
            raise ValueError(f"items for {name!r}, which is no stage of {spec.name}; {meant}")
    with _in_project(spec):
        return run(spec, limit=limit, feed=items)


def _loaded(file: Path) -> Pipeline:
    try:
        return load(file, os.environ)
    except InvalidPipeline as error:
        errors = [problem for problem in error.problems if problem.severity == "error"]
        error.args = (f"{error.message}\n{render(errors, error.text)}",)
        raise


@contextmanager
def _in_project(spec: Pipeline) -> Iterator[None]:
    """Stand where a worker stands, for as long as the run takes."""
    root = str(spec.root)
    for stage in spec.stages.values():
        _refuse_a_namesake(stage.run.partition(":")[0].partition(".")[0], root)
    here, path = Path.cwd(), list(sys.path)
    os.chdir(root)
    sys.path.insert(0, root)
    invalidate_caches()  # a module that this test wrote a moment ago is found, too
    try:
        yield
    finally:
        sys.path[:] = path
        os.chdir(here)


def _refuse_a_namesake(module: str, root: str) -> None:
    """Raise RuntimeError if ``module`` is imported, and is not the one a worker would import."""
    ours = PathFinder.find_spec(module, [root])
    if module not in sys.modules or ours is None or ours.origin is None:
        return
    theirs = getattr(sys.modules[module], "__file__", None)
    if theirs is None or Path(theirs).resolve() != Path(ours.origin).resolve():
        raise RuntimeError(
            f"{module} is imported already, from {theirs or 'elsewhere'}, and this pipeline means "
            f"{ours.origin}: give one of them another name, or take it out of sys.modules first"
        )
