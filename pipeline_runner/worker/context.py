"""What user code can ask about the item it works on."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Context:
    """Where user code runs, and on what: what :func:`context` returns.

    ``stage``, ``host``   the stage's name in the file, and the machine's
    ``index``, ``count``  which of the stage's processes this is, from 0, and how many it should
                          have in all, however many have a host by now
    ``output``            a folder that stays, for what is to be kept as files
    ``run``, ``release``  the names of this run, and of this version of the project's files
    """

    stage: str
    host: str
    index: int
    count: int
    release: str
    output: Path
    run: str
    _item: Callable[[], tuple[str, int]]
    _finished: Callable[[], bool]

    @property
    def item_id(self) -> str:
        """The item's name, the same on every re-run: an idempotency key. Empty in a source.

        Raises RuntimeError in a thread of which nobody can tell whose item it works on.
        """
        name = self._item()[0]
        return f"{self.run}:{name}" if name else ""

    @property
    def attempt(self) -> int:
        """How often the item was tried, this time included: 1 at first."""
        return self._item()[1]

    @property
    def finished(self) -> bool:
        """Whether the stage has seen all there will ever be."""
        return self._finished()

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines arrive where prints do."""
        return logging.getLogger(f"pipeline_runner.stage.{self.stage}")


_current: Context | None = None
async_item: ContextVar[tuple[str, int] | None] = ContextVar("async_item", default=None)


def enter(context: Context | None) -> None:
    """Make ``context`` the one of this process."""
    global _current
    _current = context


def context() -> Context:
    """Return the context of the running stage: the item's id and attempt, the stage, a folder.

    A function may run again for an item whose process died. ``item_id`` is the same then: a name
    for what is written elsewhere, so that it is written once. ``functions.py``::

        from pipeline_runner import context

        def numbers():
            yield from range(3)

        def store(number):
            here = context()
            name = here.item_id.replace(":", "-")
            (here.output / f"{here.stage}-{name}.txt").write_text(str(number))

    Here it runs:

        >>> from pathlib import Path
        >>> from pipeline_runner import Pipeline
        >>> stages = {"numbers": "functions:numbers", "store": "functions:store"}
        >>> Pipeline.build("three", stages, [("numbers", "store")]).run().ok
        True
        >>> len(list(Path().glob("store-*.txt")))
        3

    Raises RuntimeError outside of a stage.
    """
    if _current is None:
        raise RuntimeError("context() is only there while a stage runs this code")
    return _current


def outside(stage: str = "", output: Path | None = None) -> Context:
    """Return a context for code that runs by hand, as in a debugger."""
    return Context(
        stage, "localhost", 0, 1, "", output or Path.cwd(), "", lambda: ("", 1), lambda: False
    )
