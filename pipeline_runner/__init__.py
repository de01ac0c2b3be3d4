"""A declarative pipeline runner: one TOML file, many processes.

A stage is a plain callable at the top of a module. ``functions.py``::

    def numbers():              # a source: a generator yields the items
        yield from range(1, 6)

    def square(number):         # one item in, one out; a generator gives none or many
        return number * number

    def show(number):           # a sink: nothing comes after it
        print(number)

A file beside it says which stage feeds which, and in how many processes. ``pipeline.toml``::

    [pipeline]
    name = "squares"

    [stages.numbers]
    run = "functions:numbers"

    [stages.square]
    run = "functions:square"
    per_host = "cores"

    [stages.show]
    run = "functions:show"

    [[edges]]
    from = "numbers"
    to = "square"

    [[edges]]
    from = "square"
    to = "show"

``runner up`` in that folder runs it, ``runner join`` on another machine helps, and
``runner --help`` names the rest. From a program:

    >>> from pipeline_runner import Pipeline
    >>> result = Pipeline.from_toml("pipeline.toml").run()
    show[0] ...
    >>> result.ok, result.stages["show"].in_
    (True, 5)

In a test, in one process and with items of its own:

    >>> from pipeline_runner.testing import run_inline
    >>> run_inline("pipeline.toml", {"square": [7]})
    49
    {'show': [None]}

An item counts once from stage to stage, whatever dies on the way. It is a value, taken when it is
yielded or returned; whatever pickles can be one.

For user code, each with examples in its own help:

    Pipeline, Result        a pipeline from a file or from code, run from a program
    context()               what a stage can ask: item_id, attempt, output, a logger
    Tagged(value, *tags)    an output for the edges that carry one of the tags
    At(value, cursor)       a source's value, and where to go on after it
    END                     what a plain-function source returns when it has no more
    @source, @stage, @sink  what a function is meant to be, held against the file by `check`
    testing.run_inline      a whole pipeline in a test's own process
    RunnerError             every error of ours; InvalidPipeline has all faults of a file
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.api import Pipeline, Result
    from pipeline_runner.errors import InvalidPipeline, RunnerError
    from pipeline_runner.worker.context import Context, context
    from pipeline_runner.worker.values import END, At, Tagged, sink, source, stage

__version__ = "0.1.0"

__all__ = [
    "END",
    "At",
    "Context",
    "InvalidPipeline",
    "Pipeline",
    "Result",
    "RunnerError",
    "Tagged",
    "context",
    "sink",
    "source",
    "stage",
]

_HOMES = {
    "Context": "worker.context",
    "InvalidPipeline": "errors",
    "Pipeline": "api",
    "Result": "api",
    "RunnerError": "errors",
    "context": "worker.context",
}


def __dir__() -> list[str]:
    """Return the public names as well, loaded or not: help() and completion look here."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that importing the package costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_HOMES.get(name, 'worker.values')}")
    return getattr(module, name)
