"""Sources: iterate user code, ship what it yields as fast as the head grants.

The main thread iterates and appends; a shipper thread sends what is there as soon as nothing of
ours is on its way, also while user code sleeps: what was yielded never waits for the next yield.
While much is yielded, the main thread ships whole bodies itself.
"""

from __future__ import annotations

import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.messages import Advance, Cursor, Done
from pipeline_runner.worker.failures import failure, lost
from pipeline_runner.worker.feed import Feed
from pipeline_runner.worker.pace import Pace
from pipeline_runner.worker.routing import Bodies, Router

if TYPE_CHECKING:
    from types import FrameType

    from pipeline_runner.queues.messages import Failure
    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.link import Grant, Link
    from pipeline_runner.worker.page import Page

_UNTOLD = 64  # items of a body before the head has hinted at more


class Rewound(Exception):
    """A settle was refused: iterate again from the durable cursor."""


class Stopped(BaseException):
    """A stop was asked: what was yielded is shipped, nothing more is.

    It may come up inside user code, where an ``except Exception`` has no business with it.
    """


class SourceLoop:
    """Runs one stage's callable from the head's cursor to its end, or to a stop."""

    def __init__(self, job: Job, target: Target, link: Link, page: Page) -> None:
        self._feed = Feed(target, again=job.again)
        self._link = link
        self._page = page
        self._router = Router(job.outs)
        self._cursor = link.cursor
        self._buffer: list[Any] = []
        self._limit = 1  # ship when the buffer is as long: 1 while nothing is on its way
        self._grant: Grant | None = None
        self._pace = Pace()
        self._resumed_at = time.perf_counter()
        self._over = threading.Event()

    def item(self) -> tuple[str, int]:
        """Return no id: an item gets its name when the head has it."""
        return "", 1

    def run(self) -> None:
        """Iterate until the end of the source or a stop."""
        self._link.claim(1)
        self._page.running(0)
        if self._feed.replays:
            self._link.on_stop = self._interrupt
        threading.Thread(target=self._ship_when_idle, name="ship", daemon=True).start()
        try:
            self._iterate()
        finally:
            self._over.set()

    def _iterate(self) -> None:
        while True:
            try:
                if self._await_grant():
                    self._emit_all()
                    self._ship_rest(finished=True)
                    if self._cursor.finished:
                        self._await_end()
            except Rewound:
                self._rewind()
                continue
            except Stopped:
                self._ship_rest(finished=False)
            return

    def _emit_all(self) -> None:
        """Yield into the buffer; the loop every item pays."""
        buffer, append, ship = self._buffer, self._buffer.append, self._ship
        self._resumed_at = time.perf_counter()
        try:
            for value in self._feed.values(self._cursor):
                append(value)
                if len(buffer) >= self._limit:
                    ship()
        except (Rewound, Stopped, EOFError, OSError) as error:
            if isinstance(error, (Rewound, Stopped)) or self._link_lost():
                raise
            self._failed(error)
        except BaseException as error:  # noqa: BLE001  (whatever user code raises)
            self._failed(error)

    def _interrupt(self, frame: FrameType | None) -> None:
        """Raise Stopped inside user code: what it has not yielded, it yields again another time.

        A source that sleeps for an hour between two values does not keep anybody waiting so.
        """
        if frame is None or _is_ours(frame):
            return  # our own steps are short, and see the stop by themselves
        while frame is not None and frame.f_code is not SourceLoop._emit_all.__code__:
            if frame.f_code is SourceLoop._send.__code__:
                return  # it pickles what was yielded
            frame = frame.f_back
        if frame is not None:
            raise Stopped

    def _link_lost(self) -> bool:
        try:
            self._link.pump()
        except (EOFError, OSError):
            return True
        return False

    def _await_grant(self) -> bool:
        """Wait for leave to emit; return False when the source has ended already."""
        link = self._link
        while self._grant is None:
            if link.stopping:
                raise Stopped
            link.pump()
            with link.lock:
                self._take_grant()
            if link.refused:
                raise Rewound
            if self._grant is None:
                if link.ended:
                    return False
                self._pause(link.wait)
        return True

    def _pause(self, wait: Any) -> None:
        """Wait without counting the time as the user code's own."""
        self._page.running(0)
        began = time.perf_counter()
        wait()
        self._resumed_at += time.perf_counter() - began

    def _take_grant(self) -> None:
        if self._grant is not None and not self._link.holds(self._grant.lease.token):
            self._grant = None  # its head is gone, and with it the leave to emit
        if self._grant is None and self._link.grants:
            self._grant = self._link.grants.popleft()
            self._page.running(self._grant.lease.token)
            self._limit = 1

    def _ship(self) -> None:
        """Ship a full buffer, waiting while the head has no room for it."""
        link = self._link
        if self._grant is None or link.ledger.owed:
            link.pump()
        with link.lock:
            self._take_grant()
            if self._grant is not None and not link.refused and not link.stopping:
                if link.ledger.owed and len(self._buffer) < self._whole():
                    self._limit = self._whole()
                else:
                    self._send(finished=False)
                return
            if not link.refused and not link.stopping and len(self._buffer) < self._whole():
                self._limit = self._whole()
                return
        if link.refused:
            raise Rewound
        if link.stopping:
            raise Stopped
        self._await_grant()
        self._ship()

    def _whole(self) -> int:
        return max(1, min(self._link.hints, default=_UNTOLD))

    def _send(self, *, finished: bool) -> None:
        """Settle what is in the buffer, as far as the grant goes. Holds the link's lock."""
        grant, link = self._grant, self._link
        assert grant is not None
        # Without an edge out nobody counts the room; and a last settle may carry nothing.
        count = min(len(self._buffer), grant.lease.hi)
        values = self._buffer[:count]
        del self._buffer[:count]
        finished = finished and not self._buffer
        self._grant = None
        before = self._cursor
        mark = before.mark
        if self._feed.marks and values:
            mark = pickle.dumps(values[-1].cursor, pickle.HIGHEST_PROTOCOL)
            values = [value.value for value in values]
        bodies, failed = self._encode(values, grant.lease.token)
        self._cursor = Cursor(before.seq + 1, before.count + count, mark, finished)
        self._note_pace(count)
        items, busy_s = self._pace.report()
        link.settle(
            [Done(grant.lease.token)],
            outputs=bodies.outputs,
            data=bodies.data,
            failed=failed,
            advance=Advance(before.seq, self._cursor),
            claim=None if finished or link.stopping else link.new_claim(1),
            items=items,
            busy_s=busy_s,
        )
        self._limit = self._whole()

    def _note_pace(self, count: int) -> None:
        now = time.perf_counter()
        self._pace.add(count, now - self._resumed_at)
        self._resumed_at = now

    def _encode(self, values: list[Any], token: int) -> tuple[Bodies, list[Failure]]:
        try:
            return self._router.encode(values, self._link.places), []
        except BaseException:  # noqa: BLE001  (one of them is at fault: find it below)
            bodies, faults = self._router.sift([[value] for value in values])
            return bodies, [lost(token, values[index], error) for index, error in faults]

    def _ship_rest(self, *, finished: bool) -> None:
        """Ship the buffer to its last item, and say that this was all if it was."""
        link = self._link
        while self._buffer or (finished and not self._cursor.finished):
            if link.refused:
                if finished:
                    raise Rewound
                return
            if self._grant is None:
                link.pump()
                with link.lock:
                    self._take_grant()
                if self._grant is None and not link.refused:
                    if link.ended or (not finished and not link.claiming):
                        return
                    if link.stopping and self._feed.replays:
                        return  # there is no room; what waits is yielded again another time
                    self._pause(link.wait)
            with link.lock:
                self._take_grant()
                if self._grant is not None and not link.refused:
                    self._send(finished=finished)
        link.give_back()

    def _await_end(self) -> None:
        """Wait until the last settle stands: then, and only then, the source has ended."""
        link = self._link
        while link.ledger.owed:
            self._pause(link.wait)
        if link.refused:
            raise Rewound
        link.ended = True

    def _rewind(self) -> None:
        link = self._link
        with link.lock:
            link.refused = False
            self._cursor = link.cursor
            self._buffer.clear()
            self._grant = None
            link.give_back()
            if not link.claiming:
                link.claim(1)

    def _failed(self, error: BaseException) -> None:
        """User code raised: keep what it yielded before, then tell the head."""
        link = self._link
        self._ship_rest(finished=False)
        while not self._await_grant():
            return
        with link.lock:
            grant, self._grant = self._grant, None
            assert grant is not None
            claim = link.new_claim(1)
            link.settle([], failed=[failure(grant.lease.token, 0, error)], claim=claim)
        while link.ledger.owed:
            self._pause(link.wait)
        if not link.refused:
            link.cursor = self._cursor
        raise Rewound

    def _ship_when_idle(self) -> None:
        """The shipper thread: send what waits when the answer to the last settle arrives."""
        link = self._link
        while not self._over.is_set():
            link.await_word()
            try:
                with link.lock:
                    link.pump()
                    self._take_grant()
                    if self._grant is not None and not link.ledger.owed and not link.refused:
                        self._limit = 1
                        if self._buffer:
                            self._send(finished=False)
            except (EOFError, OSError):
                link.wake()  # the main thread meets it again and ends the process
                return
            link.wake()


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("pipeline_runner.")
