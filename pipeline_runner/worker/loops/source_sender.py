"""What a source has yielded, on its way to the head as fast as the head grants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from pipeline_runner.wire.codec import encode_one, take
from pipeline_runner.wire.messages import Advance, Cursor, Done, Failure, Settle
from pipeline_runner.worker.loops.failures import failure, in_one_message, lost
from pipeline_runner.worker.loops.pace import Pace
from pipeline_runner.worker.loops.routing import (
    SEND_BYTES,
    Router,
    UnsendableError,
    size_of,
)
from pipeline_runner.worker.values import At

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.page import Page
    from pipeline_runner.worker.session.grants import Grant
    from pipeline_runner.worker.session.session import WorkerSession

_UNTOLD = 64  # items of a body before the head has hinted at more


class Rewound(Exception):
    """A settle was refused: iterate again from the durable cursor."""


class Stopped(BaseException):
    """A stop was asked: what was yielded is shipped, nothing more is.

    It may come up inside user code, where an ``except Exception`` has no business with it.
    """


class Lost(msgspec.Struct):
    """Stands for a value that was yielded and cannot travel."""

    failure: Failure


class SourceSender:
    """The buffer that user code yields into, and the leave to emit that empties it.

    Two threads use it: the one that iterates, and one that ships what waits while user code runs.
    Methods that say so want the link's lock held.
    """

    def __init__(self, job: Job, link: WorkerSession, page: Page, *, marks: bool) -> None:
        self.buffer: list[Any] = []  # as they were taken
        self.limit = 1  # ship when the buffer is as long: 1 while nothing is on its way
        self.cursor = link.cursor  # after the last settle
        self.grant: Grant | None = None
        self._link = link
        self._page = page
        self._marks = marks  # values are At(value, cursor)
        self._router = Router(job.outs, link.most_item)
        self._router.full_at, self._router.on_full = SEND_BYTES, self._is_full
        self._sent_bytes = 0  # of what the router took
        self._has_lost = False  # perhaps: something waits that cannot travel
        self._pace = Pace()
        self._resumed_at = time.perf_counter()

    @property
    def plain(self) -> type:
        """The type of the numbers that need no :meth:`take`."""
        return self._router.plain

    def take(self, value: Any) -> Any:
        """Return a value that was yielded as it is now, for the buffer.

        What cannot travel waits there as its :class:`Lost`: it is an error of its item alone.
        """
        cursor: Any = None
        if self._marks:
            cursor, value = take(value.cursor), value.value
        taken: Any
        try:
            taken = self._router.take(value)
        except UnsendableError as error:
            taken = Lost(lost(0, value, error))
            self._has_lost = True
        return At(taken, cursor) if self._marks else taken

    def resume(self) -> None:
        """Count the time from here on as the user code's own."""
        self._resumed_at = time.perf_counter()

    def pause(self, wait: Callable[[], None]) -> None:
        """Wait without counting the time as the user code's own."""
        self._page.running(0)
        began = time.perf_counter()
        wait()
        self._resumed_at += time.perf_counter() - began

    def await_grant(self) -> bool:
        """Wait for leave to emit; return False when the source has ended already."""
        link = self._link
        while self.grant is None:
            if link.stopping:
                raise Stopped
            link.pump()
            with link.lock:
                self.take_grant()
            if link.refused:
                raise Rewound
            if self.grant is None:
                if link.ended:
                    return False
                self.pause(link.wait)
        return True

    def take_grant(self) -> None:
        """Use a leave to emit that has arrived. Holds the link's lock."""
        if self.grant is not None and not self._link.holds(self.grant.lease.token):
            self.grant = None  # its head is gone, and with it the leave to emit
        if self.grant is None and self._link.grants:
            self.grant = self._link.grants.popleft()
            self._page.running(self.grant.lease.token)
            self.limit = 1

    def ship(self) -> None:
        """Ship a full buffer, waiting while the head has no room for it."""
        link = self._link
        if self.grant is None or link.ledger.owed:
            link.pump()
        with link.lock:
            self.take_grant()
            if self.grant is not None and not link.refused and not link.stopping:
                if link.ledger.owed and not self._is_whole():
                    self.limit = self._whole()
                else:
                    self.send(finished=False)
                return
            if not link.refused and not link.stopping and not self._is_whole():
                self.limit = self._whole()
                return
        if link.refused:
            raise Rewound
        if link.stopping:
            raise Stopped
        self.await_grant()
        self.ship()

    def ship_waiting(self) -> None:
        """Ship what waits if nothing of ours is on its way."""
        link = self._link
        with link.lock:
            link.pump()
            self.take_grant()
            if self.grant is not None and not link.ledger.owed and not link.refused:
                self.limit = 1
                if self.buffer:
                    self.send(finished=False)

    def ship_rest(self, *, finished: bool, replays: bool) -> None:
        """Ship the buffer to its last item, and say that this was all if it was.

        With ``replays`` what waits for room at a stop is left: it is yielded again.
        """
        link = self._link
        while self.buffer or (finished and not self.cursor.finished):
            if link.refused:
                if finished:
                    raise Rewound
                return
            if self.grant is None:
                link.pump()
                with link.lock:
                    self.take_grant()
                if self.grant is None and not link.refused:
                    if link.ended or (not finished and not link.claiming):
                        return
                    if link.stopping and replays:
                        return
                    self.pause(link.wait)
            with link.lock:
                self.take_grant()
                if self.grant is not None and not link.refused:
                    self.send(finished=finished)

    def send(self, *, finished: bool) -> None:
        """Settle what is in the buffer, as far as the grant goes. Holds the link's lock."""
        grant, link = self.grant, self._link
        assert grant is not None
        # Without an edge out nobody counts the room; and a last settle may carry nothing.
        count = self._fitting(min(len(self.buffer), grant.lease.hi))
        values = self.buffer[:count]
        del self.buffer[:count]
        finished = finished and not self.buffer
        self.grant = None
        before = self.cursor
        mark = before.mark
        if self._marks and values:
            mark = encode_one(values[-1].cursor)
            values = [value.value for value in values]
        token = grant.lease.token
        failed: list[Failure] = []
        if self._has_lost:
            failed = [replace(one.failure, token=token) for one in values if type(one) is Lost]
            values = [value for value in values if type(value) is not Lost]
        bodies = self._router.encode(values, link.places)
        if self._router.taken_bytes > self._sent_bytes:
            self._sent_bytes = self._router.taken_bytes - sum(map(self._size, self.buffer))
            self._router.full_at = self._sent_bytes + SEND_BYTES
        self.cursor = Cursor(before.seq + 1, before.count + count, mark, finished)
        self._note_pace(count)
        items, busy_s = self._pace.report()
        settle = Settle(
            link.ledger.next_seq(),
            (Done(token),),
            tuple(bodies.outputs),
            failed=tuple(in_one_message(failed)),
            advance=Advance(before.seq, self.cursor),
            claim=None if finished or link.stopping else link.new_claim(1),
            items=items,
            busy_s=busy_s,
        )
        link.settle(settle, bodies.data)
        self.limit = self._whole()

    def rewind(self) -> None:
        """Forget what waits, and go on from the head's cursor."""
        link = self._link
        with link.lock:
            link.refused = False
            self.cursor = link.cursor
            self.buffer.clear()
            self.grant = None
            link.give_back()
            if not link.claiming:
                link.claim(1)

    def fail(self, error: BaseException) -> None:
        """Tell the head that user code raised, instead of using the grant."""
        link = self._link
        with link.lock:
            grant, self.grant = self.grant, None
            assert grant is not None
            link.settle_failed([failure(grant.lease.token, 0, error)], link.new_claim(1))
        self.await_answers()
        if not link.refused:
            link.cursor = self.cursor

    def await_answers(self) -> None:
        """Wait until the head has answered every settle."""
        while self._link.ledger.owed:
            self.pause(self._link.wait)

    def _whole(self) -> int:
        return max(1, min(self._link.hints, default=_UNTOLD))

    def _is_full(self) -> None:
        """Ship with the value that comes: with it, enough waits."""
        self.limit = 1

    def _is_whole(self) -> bool:
        """Whether as much waits as should travel at once."""
        is_full = self._router.taken_bytes >= self._router.full_at
        return is_full or len(self.buffer) >= self._whole()

    def _fitting(self, count: int) -> int:
        """Return how many of the first ``count`` values fit into a message; at least one."""
        if self._router.taken_bytes < self._router.full_at:
            return count
        size = 0
        for i, value in enumerate(self.buffer[:count]):
            size += self._size(value)
            if size > SEND_BYTES and i:
                return i
        return count

    def _size(self, taken: Any) -> int:
        return size_of(taken.value if self._marks else taken)

    def _note_pace(self, count: int) -> None:
        now = time.perf_counter()
        self._pace.add(count, now - self._resumed_at)
        self._resumed_at = now
