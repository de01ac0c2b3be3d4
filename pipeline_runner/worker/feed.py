"""The values of a source, however its callable gives them: one iterator for every kind."""

from __future__ import annotations

import pickle
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pipeline_runner.worker.values import END, At

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator

    from pipeline_runner.queues.messages import Cursor
    from pipeline_runner.worker.call import Target

_ITERATED = ("generator", "asyncgen")


class Feed:
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
            return _marked(self._iterate(self._target.call(cursor=mark)))
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
            while True:
                try:
                    value = call()
                except StopIteration:
                    return
                if value is END:
                    return
                yield value


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Lend an event loop; what still runs in it at the end is cancelled, and cleans up."""
    import asyncio  # it costs a third of a worker's start, and few sources need it

    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                loop.run_until_complete(task)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _marked(values: Iterator[Any]) -> Iterator[At]:
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
    with _event_loop() as loop:
        yield lambda: loop.run_until_complete(target.call())


def _from_async(values: AsyncIterator[Any]) -> Iterator[Any]:
    async def following() -> Any:
        return await values.__anext__()

    with _event_loop() as loop:
        while True:
            try:
                yield loop.run_until_complete(following())
            except StopAsyncIteration:
                return
