"""The chain for asyncio clients: each stage's process runs one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks import stages
from benchmarks.measure import PACED
from benchmarks.peers.chain import parcels

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

Put = Callable[[Any], Awaitable[object]]
Get = Callable[[], Awaitable[Any]]


class AsyncHop(Protocol):
    """One queue between two processes, for coroutines."""

    def writer(self) -> AbstractAsyncContextManager[Put]:
        """Open the end that puts."""
        ...

    def reader(self) -> AbstractAsyncContextManager[Get]:
        """Open the end that gets."""
        ...


def run_async_stage(
    hop_in: AsyncHop | None, name: str, hop_out: AsyncHop | None, batch: int
) -> None:
    """Be one stage's process: the callable ``name`` of ``stages`` between two hops."""
    if hop_in is None:
        assert hop_out is not None
        asyncio.run(_produce(name, hop_out, batch))
        return
    code = getattr(stages, name)
    called = code() if isinstance(code, type) else code
    if hop_out is None:
        asyncio.run(_consume(hop_in, called, batch))
        called.close()
    else:
        asyncio.run(_relay(hop_in, called, hop_out, batch))


async def _produce(name: str, hop: AsyncHop, batch: int) -> None:
    turns = parcels(getattr(stages, name)(), batch)
    async with hop.writer() as put:
        await put(next(turns))
        await _let_go()  # the source blocks the loop until item 0 has arrived
        for parcel in turns:
            await put(parcel)
            if name == PACED.source:  # and this one sleeps between items
                await _let_go()
        await put(None)


async def _let_go() -> None:
    """Give the client's own tasks the turns they need to send what was put."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _relay(
    hop_in: AsyncHop, function: Callable[[Any], Any], hop_out: AsyncHop, batch: int
) -> None:
    async with hop_in.reader() as get, hop_out.writer() as put:
        if batch == 1:
            while (item := await get()) is not None:
                await put(function(item))
        else:
            while (chunk := await get()) is not None:
                await put([function(item) for item in chunk])
        await put(None)


async def _consume(hop: AsyncHop, sink: Callable[[Any], None], batch: int) -> None:
    async with hop.reader() as get:
        if batch == 1:
            while (item := await get()) is not None:
                sink(item)
        else:
            while (chunk := await get()) is not None:
                for item in chunk:
                    sink(item)
