"""Stages that are ``async def``: up to ``concurrency`` items at once, settled as they finish."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.wire.messages import Done, Settle
from pipeline_runner.worker import eventloop
from pipeline_runner.worker.context import async_item
from pipeline_runner.worker.loops.failures import failure
from pipeline_runner.worker.loops.item_outputs import Outputs
from pipeline_runner.worker.loops.pace import Pace
from pipeline_runner.worker.loops.routing import Router

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pipeline_runner.wire.messages import Granted
    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.loops.limits import Limits
    from pipeline_runner.worker.page import Page
    from pipeline_runner.worker.session.grants import Grant, Items
    from pipeline_runner.worker.session.session import WorkerSession

RUNS_ALL = -1  # on the page: everything this worker holds is running
LEAVE_S = 0.5  # an item whose time is up is cancelled, and has so long before its process is killed


class Deadline:
    """Cancels the task that runs it when its time is up, and says so as a TimeoutError."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self.passed = False

    async def hold(self, call: Awaitable[Any]) -> Any:
        """Await ``call``. Raises TimeoutError, whatever it does about being cancelled."""
        if self._timeout_s is None:
            return await call
        task = asyncio.current_task()
        assert task is not None
        # No task of its own, as asyncio.wait_for has: SystemExit in one ends the whole loop.
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire, task)
        cause: BaseException | None = None
        try:
            result = await call
        except BaseException as error:
            if not self.passed:
                raise
            cause = error
        finally:
            timer.cancel()
        if self.passed:
            late = TimeoutError(f"the item ran longer than {self._timeout_s:g} s")
            if type(cause) is asyncio.CancelledError:  # ours: where it hung is all it has to say
                raise late.with_traceback(cause.__traceback__) from None
            raise late from cause
        return result

    def _expire(self, task: asyncio.Task[None]) -> None:
        self.passed = True
        task.cancel()


class ConcurrentLoop:
    """Runs one stage's coroutine function or async generator function over leases."""

    def __init__(
        self, job: Job, target: Target, link: WorkerSession, page: Page, limits: Limits
    ) -> None:
        self._target = target
        self._link = link
        self._page = page
        self._limits = limits
        self._most = job.concurrency
        self._timeout_s = job.timeout_s
        self._router = Router(job.outs, link.most_item)
        self._pace = Pace()
        self._tasks: dict[asyncio.Task[None], float] = {}  # and when each began, oldest first
        self._changed = asyncio.Event()
        self._watched = -1
        self._fault: BaseException | None = None  # what kept a settle from leaving

    def item(self) -> tuple[str, int]:
        """Return the id and the attempt of the item of the task that asks.

        Raises RuntimeError in a thread that was started without the task's context: an empty id
        would be one key for all.
        """
        mine = async_item.get()
        if mine is None and self._tasks:
            raise RuntimeError(
                "context() cannot tell which item this thread works on: ask it in the coroutine "
                "and pass on what it says, or start the thread with asyncio.to_thread()"
            )
        return mine or ("", 1)

    def run(self) -> None:
        """Work until there is nothing more to do here."""
        try:
            eventloop.run(self._run())
        finally:
            self._watch_nothing()
        self._link.give_back()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._link.line.wake_fileno(), self._changed.set)
        link = self._link
        while not link.stopping and not self._limits.reached:
            if self._fault is not None:
                raise self._fault
            link.pump()
            self._watch(loop)
            while link.grants:
                self._start(link.grants.popleft())
            free = self._limits.cap(self._most) - len(self._tasks)
            if free > 0 and not link.claiming and not link.ended:
                link.claim(free)
            if link.ended and not self._tasks:
                return
            await self._wait_for_change()
        if self._tasks:  # a stop lets what runs finish
            await asyncio.wait(self._tasks)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the socket of the head of the moment; none while there is none."""
        fd = self._link.line.fileno()
        if fd != self._watched:
            if self._watched >= 0:
                loop.remove_reader(self._watched)
            if fd >= 0:
                loop.add_reader(fd, self._changed.set)
            self._watched = fd

    def _watch_nothing(self) -> None:
        loop = eventloop.event_loop()
        loop.remove_reader(self._link.line.wake_fileno())
        if self._watched >= 0:
            loop.remove_reader(self._watched)
            self._watched = -1

    async def _wait_for_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()
        with contextlib.suppress(BlockingIOError):
            os.read(self._link.line.wake_fileno(), 4096)

    def _start(self, grant: Grant) -> None:
        lease, items = grant.lease, self._link.in_hand.items(grant)
        self._page.running(RUNS_ALL)
        for index in range(lease.lo, lease.hi):
            task = asyncio.create_task(self._one(lease, index, items))
            self._tasks[task] = time.monotonic()
            task.add_done_callback(self._finished)
        self._note_oldest()

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._limits.count(1)
        self._fault = self._fault or (None if task.cancelled() else task.exception())
        if not self._tasks and self._fault is None:  # else what ran is to be charged
            self._page.running(0)
        self._note_oldest()
        self._changed.set()

    def _note_oldest(self) -> None:
        """Let the agent see an item that cannot be cancelled, because it holds up the loop."""
        if self._timeout_s is None:
            return
        if self._tasks:
            self._page.item(-1, next(iter(self._tasks.values())) + LEAVE_S)
        else:
            self._page.item(0, 0.0)

    async def _one(self, lease: Granted, index: int, items: Items) -> None:
        body, place = items.name(index)
        async_item.set((f"{lease.edge}:{body}:{place}", lease.attempts + 1))
        started = time.perf_counter()
        deadline = Deadline(self._timeout_s)
        outputs = Outputs(self._link, self._router, lease, index)
        try:
            await deadline.hold(self._call(items, index, outputs))
        except BaseException as error:  # noqa: BLE001  (SystemExit of an item is its failure)
            cause = "timeout" if deadline.passed else "raised"
            self._link.settle_failed([failure(lease.token, index, error, cause, items)])
            return
        self._settle(lease, index, outputs, time.perf_counter() - started)

    async def _call(self, items: Items, index: int, outputs: Outputs) -> None:
        """Decode an item, call with it, and take what comes of it as it comes."""
        value = items.item(index)
        if self._target.kind == "async":
            outputs.add(await self._target.call(value))
            return
        async for output in self._target.call(value):
            outputs.add(output)

    def _settle(self, lease: Granted, index: int, outputs: Outputs, busy_s: float) -> None:
        # Concurrent items share their process: each took its part of the time.
        self._pace.add(1, busy_s / max(1, len(self._tasks)))
        count, share_s = self._pace.report()
        with self._link.lock:  # or a reunion could end the places between encode and settle
            bodies = self._router.encode(outputs.kept, self._link.places)
            settle = Settle(
                self._link.ledger.next_seq(),
                (Done(lease.token, ((index, index + 1),)),),
                tuple(bodies.outputs),
                tuple(outputs.keys),
                items=count,
                busy_s=share_s,
            )
            self._link.settle(settle, bodies.data)
