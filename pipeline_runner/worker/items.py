"""Maps and sinks that take one item at a time: claim -> call -> settle.

The inner loop is what every item pays, so it holds nothing but the call and an append: the
position of a failure, the item's id and the number done all follow from the length of ``_out``.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.messages import Done, Settle, Stage
from pipeline_runner.worker.failures import done_without, failure
from pipeline_runner.worker.pace import PREFETCH_BELOW_S, Pace
from pipeline_runner.worker.routing import Bodies, Router, unsendable
from pipeline_runner.worker.salvage import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.queues.messages import Failure, Granted
    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.grants import Grant
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.limits import Limits
    from pipeline_runner.worker.link import Link
    from pipeline_runner.worker.page import Page

LINGER_S = 0.1  # results of a lease that runs longer than planned go ahead of its end
ROUND_TRIP_S = 2e-4
BODY_BYTES = 1024**2
_MOST_VALUES = 4096


class ItemLoop:
    """Runs one stage's callable over leases until the end, a stop, or a limit."""

    def __init__(self, job: Job, target: Target, link: Link, page: Page, limits: Limits) -> None:
        self._call: Callable[[Any], Any] = target.call
        self._many = target.kind == "generator"
        self._link = link
        self._page = page
        self._limits = limits
        self._router = Router(job.outs)
        self._pace = Pace()
        self._watched = job.timeout_s is not None
        self._lease: Granted | None = None
        self._ahead = False  # the next lease is claimed before this one ends
        self._base = 0  # the index of the item behind _out[0]
        self._out: list[Any] = []
        self._shipped = 0  # of _out
        self._staged: dict[int, list[int]] = {}  # by index: keys of outputs sent ahead
        self._next_key = 0
        self._values_at_once = 1
        self._working = threading.Event()
        threading.Thread(target=self._linger, name="flush", daemon=True).start()

    def item(self) -> tuple[str, int]:
        """Return the id and the attempt of the item that runs now."""
        lease = self._lease
        if lease is None:
            return "", 1
        return f"{lease.edge}:{lease.body}:{self._base + len(self._out)}", lease.attempts + 1

    def run(self) -> None:
        """Work until there is nothing more to do here."""
        link = self._link
        link.claim(self._limits.cap(self._pace.want()))
        while (grant := link.next()) is not None:
            self._process(grant)
            if self._limits.reached:
                break
        link.give_back()

    def _process(self, grant: Grant) -> None:
        link, lease = self._link, grant.lease
        self._begin(lease)
        careful = self._many or self._watched
        try:
            items = link.in_hand.items(grant)
        except BaseException as error:  # noqa: BLE001  (unpickling runs user code)
            items, careful = link.in_hand.salvage(grant, error), True
        self._ahead = self._prefetches(lease)
        if self._ahead and not link.claiming and not link.grants:
            link.claim(self._limits.cap(self._pace.want()))
        is_one = lease.hi - lease.lo == 1
        if not is_one:
            self._working.set()
        started = time.perf_counter()
        index = lease.lo
        while index < lease.hi and not link.stopping:
            try:
                if careful or self._pace.checks:
                    self._run_carefully(items, index, lease.hi)
                else:
                    self._run(items, index, lease.hi)
            except BaseException as error:  # noqa: BLE001  (SystemExit of an item is its failure)
                index = self._base + len(self._out)
                self._failed(index, error, items[index])
                index += 1
            else:
                index = self._base + len(self._out)
        if not is_one:
            self._working.clear()
        self._pace.add(index - lease.lo, time.perf_counter() - started)
        self._limits.count(index - lease.lo)
        self._end()

    def _run(self, items: list[Any], lo: int, hi: int) -> None:
        call, append = self._call, self._out.append
        for item in items[lo:hi] if hi - lo < len(items) else items:
            append(call(item))

    def _run_carefully(self, items: list[Any], lo: int, hi: int) -> None:
        for index in range(lo, hi):
            if self._link.stopping:
                return
            if self._watched:
                self._page.item(index, time.monotonic())
            item = items[index]
            if type(item) is Broken:
                raise item.error
            result = self._call(item)
            self._out.append(self._collect(index, result) if self._many else result)

    def _collect(self, index: int, values: Any) -> list[Any]:
        """Gather a generator's outputs; what would be a large body is staged on the way."""
        kept: list[Any] = []
        for value in values:
            kept.append(value)
            if len(kept) >= self._values_at_once:
                kept = self._stage_if_large(index, kept)
        return kept

    def _stage_if_large(self, index: int, values: list[Any]) -> list[Any]:
        bodies = self._router.encode(values)
        if bodies.size < BODY_BYTES and len(values) < _MOST_VALUES:
            each = bodies.size / len(values) if bodies.size else 1.0
            self._values_at_once = max(
                len(values) + 1, min(_MOST_VALUES, int(BODY_BYTES / each), len(values) * 2)
            )
            return values
        assert self._lease is not None
        for output, data in zip(bodies.outputs, bodies.data, strict=True):
            self._next_key += 1
            spans = ((index, index + 1),)
            message = Stage(self._lease.token, spans, self._next_key, output)
            self._link.stage(message, data)
            self._staged.setdefault(index, []).append(self._next_key)
        return []

    def _begin(self, lease: Granted) -> None:
        with self._link.lock:
            self._lease = lease
            self._base, self._out, self._shipped = lease.lo, [], 0
            self._staged = {}
        self._page.running(lease.token)

    def _end(self) -> None:
        """Settle what is left of the lease and claim on; return what a stop left undone."""
        link, lease = self._link, self._lease
        assert lease is not None
        if link.claiming:
            link.pump()
        with link.lock:
            self._ship(last=True)
            if link.holds(lease.token):  # cut short by a stop
                return
        if self._watched:
            self._page.item(0, 0.0)
        # The token stays on the page: until the head has this settle, what ran is to be charged
        # with a death; afterwards the token is nobody's.
        self._lease = None

    def _ship(self, failed: Failure | None = None, *, last: bool = False) -> None:
        """Settle what was done since the last time. Holds the link's lock."""
        link, lease = self._link, self._lease
        assert lease is not None
        count = len(self._out)  # once: the flusher comes here while the main thread appends
        done_to = self._base + count
        lo = self._base + self._shipped
        produced = self._out[self._shipped : count] if self._shipped or not last else self._out
        self._shipped = count
        bodies, failures = self._encode(lease, produced, lo)
        if failed is not None:
            failures.append(failed)
        bad = {failure.index for failure in failures} if failures else set()
        whole = not failures and lo == lease.lo and done_to == lease.hi
        done = [Done(lease.token)] if whole else done_without(lease.token, lo, done_to, bad)
        wants = last and not link.stopping and not link.claiming and self._wants_more()
        want = self._limits.cap(self._pace.want()) if wants else 0
        if not done and not failures:
            if wants:  # the last item failed, and its settle went ahead of this one
                link.claim(want)
            return
        claim = link.new_claim(want) if wants else None
        staged = self._keys_of(range(lo, done_to), bad) if self._staged else ()
        items, busy_s = self._pace.report()
        settle = Settle(
            link.ledger.next_seq(),
            tuple(done),
            tuple(bodies.outputs),
            staged,
            tuple(failures),
            claim=claim,
            items=items,
            busy_s=busy_s,
        )
        link.settle(settle, bodies.data)

    def _keys_of(self, indexes: range, bad: set[int]) -> tuple[int, ...]:
        """Return the keys of what was staged for ``indexes``, but for those in ``bad``."""
        return tuple(
            key
            for index, keys in self._staged.items()
            if index in indexes and index not in bad
            for key in keys
        )

    def _prefetches(self, lease: Granted) -> bool:
        """Whether to have the next lease at hand before this one ends.

        A lease shorter than the way to the head and back gains nothing by it, and the claim
        would be one more message before the work.
        """
        mean_s = self._pace.mean_s
        if mean_s is None or lease.suspect or not self._limits.prefetches:
            return False
        return mean_s < PREFETCH_BELOW_S and mean_s * (lease.hi - lease.lo) > ROUND_TRIP_S

    def _wants_more(self) -> bool:
        if self._limits.reached:
            return False
        return len(self._link.grants) < (2 if self._ahead else 1)

    def _encode(self, lease: Granted, produced: list[Any], lo: int) -> tuple[Bodies, list[Failure]]:
        if self._router.is_sink or not produced:
            return Bodies(), []
        values = [v for values in produced for v in values] if self._many else produced
        try:
            return self._router.encode(values, self._link.places), []
        except BaseException:  # noqa: BLE001  (one of them is at fault: find it below)
            each = produced if self._many else [[value] for value in produced]
            bodies, faults = self._router.sift(each)
            return bodies, [
                failure(lease.token, lo + i, error, unsendable(error)) for i, error in faults
            ]

    def _failed(self, index: int, error: BaseException, item: Any) -> None:
        assert self._lease is not None
        cause = "undecodable" if type(item) is Broken else "raised"
        with self._link.lock:
            self._ship(failure(self._lease.token, index, error, cause))
            self._base, self._out, self._shipped = index + 1, [], 0

    def _linger(self) -> None:
        """Settle ahead what a lease has done, when its next item takes unexpectedly long."""
        while True:
            self._working.wait()
            before = self._lease
            time.sleep(LINGER_S)
            with self._link.lock:
                same = self._working.is_set() and self._lease is before
                if before is not None and same and len(self._out) > self._shipped:
                    try:
                        self._ship()
                    except OSError:  # the head is gone: the main thread will notice
                        return
