"""The values of a source, however its callable gives them: one iterator for every kind."""

from __future__ import annotations

import pickle
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pipeline_runner.worker import eventloop
from pipeline_runner.worker.values import END, At

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pipeline_runner.wire.messages import Cursor
    from pipeline_runner.worker.call import Target

_ITERATED = ("generator", "asyncgen")


class SourceValues:
    """A source's callable. With ``again`` a generator is a live feed: never iterated past."""

    def __init__(self, target: Target, *, again: bool) -> None:
        self._target = target
        self._again = again

    @property
    def marks(self) -> bool:
        """Whether values come as ``At(value, cursor)``."""
        return self._target.takes_cursor

    @property
    def replays(self) -> bool:
        """Whether what was not shipped is yielded again, and not gone with this process."""
        return self.marks or (self._target.kind in _ITERATED and not self._again)

    def values(self, cursor: Cursor) -> Iterator[Any]:
        """Return the values from ``cursor`` on. Raises what user code raises, then and later."""
        if self.marks:
            mark = None if cursor.mark is None else pickle.loads(cursor.mark)  # noqa: S301
            return marked(self._iterate(self._target.call(cursor=mark)))
        if self._target.kind not in _ITERATED:
            return self._called()
        values = self._iterate(self._target.call())
        for _ in range(0 if self._again else cursor.count):
            next(values, None)
        return values

    def _iterate(self, made: Any) -> Iterator[Any]:
        return _from_async(made) if self._target.kind == "asyncgen" else iter(made)

    def _called(self) -> Iterator[Any]:
        """Call a plain function again and again until it says that this was all."""
        with _caller(self._target) as call:
            is_first = True
            while True:
                try:
                    value = call()
                except StopIteration:
                    return
                if value is END:
                    return
                if is_first:
                    check_returned(value)
                    is_first = False
                yield value


def check_returned(value: Any) -> None:
    """Raise TypeError if a plain function returned what is to be iterated.

    It would be called for ever, and each time such an object would be its item.
    """
    kind = type(value)
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__"):
        raise TypeError(
            f"a source returned a {kind.__name__}, which is not iterated: yield its values "
            "instead (`yield from` it), so that the source itself is a generator"
        )


def marked(values: Iterable[Any]) -> Iterator[At]:
    """Yield what a source with a cursor yields. Raises TypeError if that is anything else."""
    for value in values:
        if not isinstance(value, At):
            raise TypeError(
                "a source with a `cursor` parameter yields At(value, cursor), "
                f"not {type(value).__name__}"
            )
        yield value


@contextmanager
def _caller(target: Target) -> Iterator[Callable[[], Any]]:
    if target.kind != "async":
        yield target.call
        return
    try:
        yield lambda: eventloop.run(target.call())
    finally:
        eventloop.cancel_tasks()


def _from_async(values: AsyncIterator[Any]) -> Iterator[Any]:
    async def following() -> Any:
        return await values.__anext__()

    try:
        while True:
            try:
                yield eventloop.run(following())
            except StopAsyncIteration:
                return
    finally:
        eventloop.cancel_tasks()
        with suppress(Exception):
            eventloop.run(values.aclose())  # type: ignore[attr-defined]
