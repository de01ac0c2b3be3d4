"""Sources: iterate user code, ship what it yields as fast as the head grants.

The main thread iterates and appends; a shipper thread sends what is there as soon as nothing of
ours is on its way, also while user code sleeps: what was yielded never waits for the next yield.
While much is yielded, the main thread ships whole bodies itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner import native
from pipeline_runner.worker.loops.source_sender import Rewound, SourceSender, Stopped
from pipeline_runner.worker.loops.source_values import SourceValues

if TYPE_CHECKING:
    from types import FrameType

    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.page import Page
    from pipeline_runner.worker.session.session import WorkerSession


class SourceLoop:
    """Runs one stage's callable from the head's cursor to its end, or to a stop."""

    def __init__(self, job: Job, target: Target, link: WorkerSession, page: Page) -> None:
        self._feed = SourceValues(target, again=job.again)
        self._link = link
        self._page = page
        self._sender = SourceSender(job, link, page, marks=self._feed.marks)
        self._over = native.Event()

    def item(self) -> tuple[str, int]:
        """Return no id: an item gets its name when the head has it."""
        return "", 1

    def run(self) -> None:
        """Iterate until the end of the source or a stop."""
        self._link.claim(1)
        self._page.running(0)
        if self._feed.replays:
            self._link.on_stop = self._interrupt
        native.start(self._ship_when_idle)
        try:
            self._iterate()
        finally:
            self._over.set()

    def _iterate(self) -> None:
        sender = self._sender
        while True:
            try:
                if sender.await_grant():
                    self._emit_all()
                    self._ship_rest(finished=True)
                    if sender.cursor.finished:
                        self._await_end()
            except Rewound:
                sender.rewind()
                continue
            except Stopped:
                self._ship_rest(finished=False)
            return

    def _emit_all(self) -> None:
        """Yield into the buffer; the loop every item pays."""
        sender = self._sender
        buffer, ship = sender.buffer, sender.ship
        plain, take = sender.plain, sender.take
        sender.resume()
        try:
            for value in self._feed.values(sender.cursor):
                if type(value) is not plain:
                    value = take(value)
                    plain = sender.plain
                buffer.append(value)
                if len(buffer) >= sender.limit:
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
            frame = frame.f_back
        if frame is not None:
            raise Stopped

    def _link_lost(self) -> bool:
        try:
            self._link.pump()
        except (EOFError, OSError):
            return True
        return False

    def _ship_rest(self, *, finished: bool) -> None:
        self._sender.ship_rest(finished=finished, replays=self._feed.replays)
        self._link.give_back()

    def _await_end(self) -> None:
        """Wait until the last settle stands: then, and only then, the source has ended."""
        self._sender.await_answers()
        if self._link.refused:
            raise Rewound
        self._link.ended = True

    def _failed(self, error: BaseException) -> None:
        """User code raised: keep what it yielded before, then tell the head."""
        # With the leave to emit that this may not use up, the head is told.
        self._sender.ship_rest(finished=False, replays=self._feed.replays)
        if self._sender.await_grant():
            self._sender.fail(error)
            raise Rewound

    def _ship_when_idle(self) -> None:
        """The shipper thread: send what waits when the answer to the last settle arrives."""
        link = self._link
        while not self._over.is_set():
            link.line.await_word()
            try:
                self._sender.ship_waiting()
            except (EOFError, OSError):
                link.line.wake()  # the main thread meets it again and ends the process
                return
            link.line.wake()


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("pipeline_runner.")
