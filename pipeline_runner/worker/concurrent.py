"""Stages that are ``async def``: up to ``concurrency`` items at once, settled as they finish."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.messages import Done
from pipeline_runner.worker.context import async_item
from pipeline_runner.worker.failures import failure
from pipeline_runner.worker.pace import Pace
from pipeline_runner.worker.routing import Bodies, Router

if TYPE_CHECKING:
    from pipeline_runner.queues.messages import Granted
    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.limits import Limits
    from pipeline_runner.worker.link import Grant, Link
    from pipeline_runner.worker.page import Page

RUNS_ALL = -1  # on the page: everything this worker holds is running


class ConcurrentLoop:
    """Runs one stage's coroutine function or async generator function over leases."""

    def __init__(self, job: Job, target: Target, link: Link, page: Page, limits: Limits) -> None:
        self._target = target
        self._link = link
        self._page = page
        self._limits = limits
        self._most = job.concurrency
        self._timeout_s = job.timeout_s
        self._router = Router(job.outs)
        self._pace = Pace()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def item(self) -> tuple[str, int]:
        """Return the id and the attempt of the item of the task that asks."""
        return async_item.get() or ("", 1)

    def run(self) -> None:
        """Work until there is nothing more to do here."""
        asyncio.run(self._run())
        self._link.give_back()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._link.fileno(), self._changed.set)
        loop.add_reader(self._link.wake_fileno(), self._changed.set)
        link = self._link
        while not link.stopping and not self._limits.reached:
            link.pump()
            while link.grants:
                self._start(link.grants.popleft())
            free = self._most - len(self._tasks)
            if free > 0 and not link.claiming and not link.ended:
                link.claim(self._limits.cap(free))
            if link.ended and not self._tasks:
                return
            await self._wait_for_change()
        if self._tasks:  # a stop lets what runs finish
            await asyncio.wait(self._tasks)

    async def _wait_for_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()
        with contextlib.suppress(BlockingIOError):
            os.read(self._link.wake_fileno(), 4096)

    def _start(self, grant: Grant) -> None:
        lease = grant.lease
        try:
            items = self._link.items(grant)
        except BaseException as error:  # noqa: BLE001  (unpickling runs user code)
            indexes = range(lease.lo, lease.hi)
            failed = [failure(lease.token, index, error, "undecodable") for index in indexes]
            self._link.settle([], failed=failed)
            return
        self._page.running(RUNS_ALL)
        for index in range(lease.lo, lease.hi):
            task = asyncio.create_task(self._one(lease, index, items[index]))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._limits.count(1)
        if not self._tasks:
            self._page.running(0)
        self._changed.set()

    async def _one(self, lease: Granted, index: int, value: Any) -> None:
        async_item.set((f"{lease.edge}:{lease.body}:{index}", lease.attempts + 1))
        started = time.perf_counter()
        try:
            produced = await self._call(value)
            bodies = self._router.encode(produced)
        except asyncio.TimeoutError as error:
            cause = (
                "timeout" if time.perf_counter() - started >= (self._timeout_s or 0) else "raised"
            )
            self._link.settle([], failed=[failure(lease.token, index, error, cause)])
        except BaseException as error:  # noqa: BLE001  (SystemExit of an item is its failure)
            self._link.settle([], failed=[failure(lease.token, index, error)])
        else:
            self._settle(lease, index, bodies, time.perf_counter() - started)

    async def _call(self, value: Any) -> list[Any]:
        if self._target.kind == "async":
            return [await asyncio.wait_for(self._target.call(value), self._timeout_s)]

        async def gather() -> list[Any]:
            return [output async for output in self._target.call(value)]

        return await asyncio.wait_for(gather(), self._timeout_s)

    def _settle(self, lease: Granted, index: int, bodies: Bodies, busy_s: float) -> None:
        # Concurrent items share their process: each took its part of the time.
        self._pace.add(1, busy_s / max(1, len(self._tasks)))
        items, share_s = self._pace.report()
        self._link.settle(
            [Done(lease.token, ((index, index + 1),))],
            outputs=bodies.outputs,
            data=bodies.data,
            items=items,
            busy_s=share_s,
        )
