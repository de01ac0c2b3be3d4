"""Stages with ``batch``: gather items of one or more leases, call once, settle."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline_runner.wire.messages import Done, Settle
from pipeline_runner.worker import eventloop
from pipeline_runner.worker.call import check_count, one_by_one
from pipeline_runner.worker.loops.failures import failure, in_pieces
from pipeline_runner.worker.loops.pace import Pace
from pipeline_runner.worker.loops.routing import Router, UnsendableError, runs
from pipeline_runner.worker.session.grants import UndecodableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline_runner.wire.messages import Failure
    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.job import BatchSpec, Job
    from pipeline_runner.worker.loops.limits import Limits
    from pipeline_runner.worker.page import Page
    from pipeline_runner.worker.session.grants import Grant, Items
    from pipeline_runner.worker.session.session import WorkerSession

RUNS_ALL = -1  # on the page: everything this worker holds is running


@dataclass(frozen=True, slots=True)
class Member:
    """One item of a batch, in its body, and the lease it came with."""

    token: int
    edge: str
    body: int
    index: int
    attempts: int
    suspect: bool
    items: Items


class BatchLoop:
    """Runs one stage's callable over lists of at most ``batch.count`` items."""

    def __init__(
        self,
        job: Job,
        batch: BatchSpec,
        target: Target,
        link: WorkerSession,
        page: Page,
        limits: Limits,
    ) -> None:
        self._batch = batch
        self._target = target
        self._link = link
        self._page = page
        self._limits = limits
        self._router = Router(job.outs, link.most_item)
        self._pace = Pace()
        self._watched = job.timeout_s is not None
        self._members: list[Member] = []

    def item(self) -> tuple[str, int]:
        """Return the id of the batch's first item, and its attempt."""
        if not self._members:
            return "", 1
        first = self._members[0]
        body, index = first.items.name(first.index)
        return f"{first.edge}:{body}:{index}", first.attempts + 1

    def run(self) -> None:
        """Work until there is nothing more to do here."""
        while not self._link.stopping and not self._limits.reached:
            self._members = self._gather()
            if not self._members:
                break
            self._run_batch()
        self._link.give_back()

    def _gather(self) -> list[Member]:
        members: list[Member] = []
        size, deadline = 0.0, None
        count = self._limits.cap(self._batch.count)
        while len(members) < count and not self._link.stopping:
            wait_s = None
            if members:
                if deadline is None:
                    deadline = time.monotonic() + (self._batch.period_s or 0.0)
                wait_s = max(0.0, deadline - time.monotonic())
            self._link.claim(count - len(members), wait_s)
            grant = self._link.next()
            if grant is None:
                break
            lease = grant.lease
            members += self._members_of(grant)
            size += grant.lease.size * (lease.hi - lease.lo) / lease.n
            if lease.suspect or (self._batch.bytes is not None and size >= self._batch.bytes):
                break
        return members

    def _members_of(self, grant: Grant) -> list[Member]:
        lease, items = grant.lease, self._link.in_hand.items(grant)
        return [
            Member(lease.token, lease.edge, lease.body, index, lease.attempts, lease.suspect, items)
            for index in range(lease.lo, lease.hi)
        ]

    def _run_batch(self) -> None:
        self._page.running(RUNS_ALL)
        if self._watched:
            self._page.item(-1, time.monotonic())
        started = time.perf_counter()
        values = self._decoded()
        members = self._members
        try:
            taken = self._call(values) if members else []
        except BaseException as error:  # noqa: BLE001  (SystemExit of a batch is its failure)
            self._failed(error)
        else:
            self._pace.add(len(members), time.perf_counter() - started)
            if members:
                self._settle_in_runs(taken)
        self._page.item(0, 0.0)
        self._page.running(0)
        self._limits.count(len(members))

    def _decoded(self) -> list[Any]:
        """Return the members' values; who has none fails by itself, and is no member any more."""
        values: list[Any] = []
        sound: list[Member] = []
        failed: list[Failure] = []
        for member in self._members:
            try:
                values.append(member.items.item(member.index))
            except UndecodableError as error:
                failed.append(failure(member.token, member.index, error))
            else:
                sound.append(member)
        self._members = sound
        if failed:
            self._link.settle_failed(failed)
        return values

    def _call(self, values: list[Any]) -> list[Any]:
        """Return what came of each value, taken as it was then, or why it cannot travel."""
        count = len(values)  # before the call: the list is user code's to empty
        results = self._target.call(values)
        if hasattr(type(results), "__await__"):
            results = eventloop.run(results)
        if hasattr(type(results), "__aiter__"):
            taken = eventloop.run(self._take_each(results))
        elif self._router.is_sink:
            if hasattr(type(results), "__next__"):  # a generator does nothing until it is iterated
                deque(results, 0)
            return [None] * count
        else:
            taken = [self._take(result) for result in one_by_one(results)]
        if self._router.is_sink:
            return [None] * count
        check_count(len(taken), count)
        return taken

    async def _take_each(self, results: AsyncIterator[Any]) -> list[Any]:
        return [self._take(result) async for result in results]

    def _take(self, result: Any) -> Any:
        try:
            return self._router.take(result)
        except UnsendableError as error:
            return error

    def _failed(self, error: BaseException) -> None:
        if len(self._members) > 1:
            # Nobody knows which it was: each runs alone from now on.
            self._link.give_back(suspect=True)
            return
        only = self._members[0]
        self._link.settle_failed([failure(only.token, only.index, error, items=only.items)])

    def _settle_in_runs(self, taken: Sequence[Any]) -> None:
        """Settle as many members at a time as their outputs fit into a message."""
        members = iter(self._members)
        for run in runs(taken):
            with self._link.lock:  # or a reunion could end the places between encode and settle
                self._settle(list(islice(members, len(run))), run)

    def _settle(self, members: Sequence[Member], taken: Sequence[Any]) -> None:
        failed: list[Failure] = []
        sound: list[Any] = []
        spans: dict[int, list[tuple[int, int]]] = {}
        for member, output in zip(members, taken, strict=True):
            if isinstance(output, UnsendableError):
                failed.append(failure(member.token, member.index, output, items=member.items))
                continue
            sound.append(output)
            mine = spans.setdefault(member.token, [])
            if mine and mine[-1][1] == member.index:
                mine[-1] = (mine[-1][0], member.index + 1)
            else:
                mine.append((member.index, member.index + 1))
        *ahead, failed = in_pieces(failed) if failed else ([],)
        for piece in ahead:
            self._link.settle_failed(piece)
        bodies = self._router.encode(sound, self._link.places)
        items, busy_s = self._pace.report()
        settle = Settle(
            self._link.ledger.next_seq(),
            tuple(Done(token, tuple(mine)) for token, mine in spans.items()),
            tuple(bodies.outputs),
            failed=tuple(failed),
            items=items,
            busy_s=busy_s,
        )
        self._link.settle(settle, bodies.data)
