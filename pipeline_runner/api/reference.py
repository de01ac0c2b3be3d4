"""From a callable to the name by which a worker, in another interpreter, can import it."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.api.settings import Run

_TOP = "write it as a `def` at the top of a module"


@dataclass(frozen=True, slots=True)
class Reference:
    """``run`` as the file would have it; ``fault`` says why no worker can import that, or is empty.

    ``hint`` is the cure.
    """

    run: str
    fault: str = ""
    hint: str = ""


def reference(run: Run) -> Reference:
    """Return how a worker would name ``run``. Raises TypeError for what cannot be called."""
    if isinstance(run, str):
        return Reference(run)
    if not callable(run):
        raise TypeError(f'a stage runs a callable or the text "module:callable", not {run!r}')
    module, path = getattr(run, "__module__", None), getattr(run, "__qualname__", None)
    named = inspect.isclass(run) or inspect.isroutine(run)
    if not (named and isinstance(module, str) and isinstance(path, str)):
        kind = type(run).__name__
        fault = f"an object of type {kind} has no name by which a worker could import it"
        return Reference(f"{type(run).__module__}:{kind}", fault, f"call it in a function: {_TOP}")
    written = f"{module}:{path}"
    if path.rpartition(".")[2] == "<lambda>":
        fault = "a lambda has no name by which a worker could import it"
        return Reference(written, fault, _TOP)
    name = path.rpartition(".")[2]
    if "<locals>" in path:
        fault = f"{name} is made inside a function, where no worker can import it"
        return Reference(written, fault, _TOP)
    if module == "__main__":
        fault = f"{name} is defined in the program itself, which no worker imports"
        hint = "move it to a module beside the program, such as functions.py, and import it"
        return Reference(written, fault, hint)
    if not _is_found(module, path, run):
        fault = f"a worker that imports {written} gets another object than the one given"
        return Reference(written, fault, "give it a name of its own at the top of its module")
    return Reference(written)


def _is_found(module: str, path: str, run: Any) -> bool:
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    # A class method is bound anew each time it is looked up: equal, and not the same.
    return found is run or (inspect.ismethod(run) and found == run)
