"""Maps and sinks that take one item at a time: claim -> call -> settle.

The inner loop is what every item pays, so it holds nothing but the call and an append: the
position of a failure, the item's id and the number done all follow from the length of ``_out``.
Failures travel with the settle of their lease, unless the rest of it would take long.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pipeline_runner import native
from pipeline_runner.wire.messages import Done, Settle
from pipeline_runner.worker.call import spread
from pipeline_runner.worker.loops.failures import MOST_BYTES, done_without, failure, size
from pipeline_runner.worker.loops.item_outputs import Outputs
from pipeline_runner.worker.loops.pace import PREFETCH_BELOW_S, Pace
from pipeline_runner.worker.loops.routing import SEND_BYTES, Router

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.wire.messages import Failure, Granted
    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.loops.limits import Limits
    from pipeline_runner.worker.page import Page
    from pipeline_runner.worker.session.grants import Grant, Items
    from pipeline_runner.worker.session.session import WorkerSession

LINGER_S = 0.1  # results of a lease that runs longer than planned go ahead of its end
ROUND_TRIP_S = 2e-4


class ItemLoop:
    """Runs one stage's callable over leases until the end, a stop, or a limit."""

    def __init__(
        self, job: Job, target: Target, link: WorkerSession, page: Page, limits: Limits
    ) -> None:
        self._many = target.kind == "generator"
        self._call: Callable[[Any], Any] = target.call
        if self._many and target.is_wrapped:
            self._call = spread(target.call)
        self._link = link
        self._page = page
        self._limits = limits
        self._router = Router(job.outs, link.most_item)
        self._router.full_at, self._router.on_full = SEND_BYTES, self._ship_ahead
        self._pace = Pace()
        self._watched = job.timeout_s is not None
        self._lease: Granted | None = None
        self._items: Items | None = None
        self._ahead = False  # the next lease is claimed before this one ends
        self._base = 0  # the index of the item behind _out[0]
        self._out: list[Any] = []  # as the router took them; of what failed, nothing
        self._failures: list[Failure] = []  # that no settle has told
        self._failures_bytes = 0  # of a message
        self._told_at = 0.0  # when one went ahead of its lease's end
        self._shipped = 0  # of _out
        self._staged: dict[int, list[int]] = {}  # by index: keys of outputs sent ahead
        self._working = native.Event()
        native.start(self._linger)

    def item(self) -> tuple[str, int]:
        """Return the id and the attempt of the item that runs now."""
        lease, items = self._lease, self._items
        if lease is None or items is None:
            return "", 1
        body, index = items.name(self._base + len(self._out))
        return f"{lease.edge}:{body}:{index}", lease.attempts + 1

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
        items = self._items = link.in_hand.items(grant)
        self._ahead = self._prefetches(lease)
        if self._ahead and not link.claiming and not link.grants:
            want, most = self._wanted()
            link.claim(want, most=most)
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
                each_s = (time.perf_counter() - started) / (index - lease.lo + 1)
                self._failed(index, error, each_s * (lease.hi - index - 1))
            index = self._base + len(self._out)
        if not is_one:
            self._working.clear()
        self._pace.add(index - lease.lo, time.perf_counter() - started)
        self._limits.count(index - lease.lo)
        self._end()

    def _run(self, items: Items, lo: int, hi: int) -> None:
        call, out = self._call, self._out  # out.append is faster than its method in a variable
        if self._router.is_sink:
            for item in items.span(lo, hi):
                out.append(call(item))
            return
        plain, take = self._router.plain, self._router.take
        for item in items.span(lo, hi):
            out.append(value if type(value := call(item)) is plain else take(value))

    def _run_carefully(self, items: Items, lo: int, hi: int) -> None:
        take = self._router.take
        for index in range(lo, hi):
            if self._link.stopping:
                return
            if self._watched:
                self._page.item(index, time.monotonic())
            result = self._call(items.item(index))
            self._out.append(self._collect(index, result) if self._many else take(result))

    def _ship_ahead(self) -> None:
        """Settle what is done before the item at hand: its outputs may be too much to keep."""
        with self._link.lock:
            self._ship()

    def _collect(self, index: int, values: Any) -> list[Any]:
        """Take a generator's outputs, each as it is when it is yielded."""
        assert self._lease is not None
        outputs = Outputs(self._link, self._router, self._lease, index, self._ship_ahead)
        for value in values:
            outputs.add(value)
        if outputs.keys:
            self._staged[index] = outputs.keys
        return outputs.kept

    def _begin(self, lease: Granted) -> None:
        with self._link.lock:
            self._lease = lease
            self._base, self._out, self._shipped = lease.lo, [], 0
            self._staged, self._failures, self._failures_bytes = {}, [], 0
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

    def _ship(self, *, last: bool = False) -> None:
        """Settle what was done since the last time. Holds the link's lock."""
        link, lease = self._link, self._lease
        assert lease is not None
        count = len(self._out)  # once: the flusher comes here while the main thread appends
        done_to = self._base + count
        lo = self._base + self._shipped
        produced = self._out[self._shipped : count] if self._shipped or not last else self._out
        if not last:
            self._out[self._shipped : count] = [None] * (count - self._shipped)  # sent: let it go
        self._shipped = count
        self._router.full_at = self._router.taken_bytes + SEND_BYTES
        failures, self._failures, self._failures_bytes = self._failures, [], 0
        bad = {failed.index for failed in failures}
        if bad and not self._many:
            produced = [taken for at, taken in enumerate(produced, lo) if at not in bad]
        whole = not failures and lo == lease.lo and done_to == lease.hi
        done = [Done(lease.token)] if whole else done_without(lease.token, lo, done_to, bad)
        wants = last and not link.stopping and not link.claiming and self._wants_more()
        want, most = self._wanted() if wants else (0, 0)
        if not done and not failures:
            if wants:  # what is done went ahead
                link.claim(want, most=most)
            return
        claim = link.new_claim(want, most=most) if wants else None
        staged = self._keys_of(range(lo, done_to)) if self._staged else ()
        bodies = self._router.encode(self._flat(produced), link.places)
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

    def _keys_of(self, indexes: range) -> tuple[int, ...]:
        """Return the keys of what was staged for ``indexes``."""
        return tuple(
            key for index, keys in self._staged.items() if index in indexes for key in keys
        )

    def _flat(self, produced: list[Any]) -> list[Any]:
        return [taken for each in produced for taken in each] if self._many else produced

    def _prefetches(self, lease: Granted) -> bool:
        """Whether to have the next lease at hand before this one ends.

        A lease shorter than the way to the head and back gains nothing by it, and the claim
        would be one more message before the work.
        """
        mean_s = self._pace.mean_s
        if mean_s is None or lease.suspect or not self._limits.prefetches:
            return False
        return mean_s < PREFETCH_BELOW_S and mean_s * (lease.hi - lease.lo) > ROUND_TRIP_S

    def _wanted(self) -> tuple[int, int]:
        """Return how many items to claim, and how many of a long queue."""
        cap = self._limits.cap
        return cap(self._pace.want()), cap(self._pace.most())

    def _wants_more(self) -> bool:
        if self._limits.reached:
            return False
        return len(self._link.grants) < (2 if self._ahead else 1)

    def _failed(self, index: int, error: BaseException, rest_s: float) -> None:
        """Note a failure; ``rest_s`` is what the lease takes from here on, about."""
        assert self._lease is not None
        failed = failure(self._lease.token, index, error, items=self._items)
        with self._link.lock:
            self._failures.append(failed)
            self._out.append([] if self._many else None)
            self._failures_bytes += size(failed)
            now = time.monotonic()
            waits = rest_s > LINGER_S and now - self._told_at > LINGER_S
            if waits or self._failures_bytes > MOST_BYTES:
                self._told_at = now
                self._ship()

    def _linger(self) -> None:
        """Settle ahead what a lease has done, when its next item takes unexpectedly long."""
        while True:
            self._working.wait()
            before = self._lease
            native.sleep(LINGER_S)
            with self._link.lock:
                same = self._working.is_set() and self._lease is before
                if before is not None and same and len(self._out) > self._shipped:
                    try:
                        self._ship()
                    except OSError:  # the head is gone: the main thread will notice
                        return
