"""A declarative pipeline runner: one TOML file, many processes.

The names here are for user code and load what they need when they are first used.
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


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that importing the package costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_HOMES.get(name, 'worker.values')}")
    return getattr(module, name)
