"""The one event loop of a process that runs async user code: its calls, and its close().

What a class keeps between two calls, a session or a lock, belongs to the loop it was used in.
"""

from __future__ import annotations

import select
import selectors
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from pipeline_runner import native

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

T = TypeVar("T")
_Selector = selectors.DefaultSelector  # bound before user code may replace it

_loop: asyncio.AbstractEventLoop | None = None


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop; the first to ask has it made."""
    global _loop
    if _loop is None:
        import asyncio  # it costs a third of a worker's start, and few stages need it

        # Where user code has replaced the system's waits, asyncio would wait with those.
        is_patched = select.select is not native.select
        _loop = asyncio.SelectorEventLoop(_Selector()) if is_patched else asyncio.new_event_loop()
        asyncio.set_event_loop(_loop)
    return _loop


def run(awaitable: Awaitable[T]) -> T:
    """Return what ``awaitable`` gives, run in the loop."""
    return event_loop().run_until_complete(awaitable)


def cancel_tasks() -> None:
    """Cancel what still runs in the loop, and let it clean up."""
    import asyncio

    if _loop is None:
        return
    for task in asyncio.all_tasks(_loop):
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            _loop.run_until_complete(task)


def close() -> None:
    """End the loop, if there is one, and what still runs in it."""
    global _loop
    if _loop is None:
        return
    cancel_tasks()
    loop, _loop = _loop, None
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
