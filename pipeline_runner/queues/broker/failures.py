"""Who is charged when something fails, and what becomes of the item: again, alone, or a letter.

Only an item that certainly was the one running is charged. Where several could have been, all go
back uncharged and run alone from then on, so that the guilty one gives itself away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from pipeline_runner.queues.broker.effects import Failed, Pending, Stopped
from pipeline_runner.queues.broker.failed_item import FailedItem, pickle_of_failed
from pipeline_runner.queues.broker.ranges import Range, intersect, size, subtract, union
from pipeline_runner.queues.broker.transaction import (
    Body,
    Letter,
    PagedBody,
    Requeue,
    Retry,
    Transaction,
    item_id,
)
from pipeline_runner.wire.messages import Failure
from pipeline_runner.wire.repack import (
    MOST_MOVED_BYTES,
    Name,
    gather,
    in_pieces,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.broker.leases import Lease, WorkerRecord
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.wire.messages import Died

RUNS_ALL = -1  # a batch runs everything its worker holds
_REMEMBERED = 1_000  # first items of what dead workers held and had not begun


class Failures:
    """Charges failures and deaths."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._deaths: dict[tuple[str, int, int], int] = {}  # see _repeatedly_held
        self.now = 0.0  # retries are counted from here, on the shell's monotonic clock

    def charge_all(
        self, step: Transaction, failures: Sequence[Failure], worker: WorkerRecord
    ) -> None:
        """Add to ``step`` what the failures of one settle mean; small items are retried together.

        A body of their own sets the rest of their old one free, and one lease takes them all.
        """
        together: dict[tuple[str, int, str], list[FailedItem]] = {}
        bodies: dict[int, bytes | memoryview] = {}  # read once, however many of its items failed
        for failure in failures:
            lease = self._state.leases[failure.token]
            self._charge(step, lease, failure, worker, bodies, together)
        for (edge, attempts, release), failed in together.items():
            self._retry(step, edge, attempts, release, failed)

    def charge(
        self, step: Transaction, lease: Lease, failure: Failure, worker: WorkerRecord
    ) -> None:
        """Add to ``step`` what one more failed attempt of one index means."""
        self._charge(step, lease, failure, worker, {}, None)

    def _charge(
        self,
        step: Transaction,
        lease: Lease,
        failure: Failure,
        worker: WorkerRecord,
        bodies: dict[int, bytes | memoryview],
        together: dict[tuple[str, int, str], list[FailedItem]] | None,
    ) -> None:
        stage = self._state.stages[worker.stage]
        failure, is_strange = self._strange(lease, failure, worker)
        if is_strange and self._set_aside(step, lease, failure, worker):
            return
        stage.failed += 1
        step.failed.append((worker.stage, False))
        if not lease.edge:
            self._charge_source(step, lease, failure, worker)
            return
        spec = stage.spec
        attempts = lease.attempts + 1
        is_last = attempts >= spec.attempts or failure.final
        if is_last and spec.on_failure == "drop":
            step.consumed.append((lease.edge, lease.body, ((failure.index, failure.index + 1),)))
            stage.dropped += 1
            step.failed[-1] = (worker.stage, True)
            return
        body = self._state.bodies[lease.body]
        data = bodies.get(lease.body)
        if data is None:
            data = bodies[lease.body] = body.data
        name = name_of(data, lease.body, failure.index)
        if is_last:
            item = pickle_of_failed(failure, body.n, data)
            step.letters.append(self._letter(lease, failure, worker, attempts, name, item, body))
            return
        wait_s = spec.retry_s(attempts)
        self._state.effects.append(
            Failed(
                spec.name,
                item_id(self._state.run, lease.edge, *name),
                attempts,
                spec.attempts,
                failure.error,
                wait_s,
            )
        )
        if together is not None and body.n > 1 and not lease.suspect:
            item = pickle_of_failed(failure, body.n, data)
            if item is not None and len(item) <= MOST_MOVED_BYTES:
                key = lease.edge, attempts, body.release
                failed = FailedItem(lease.body, failure.index, name, item)
                together.setdefault(key, []).append(failed)
                return
        one = Range(lease.body, failure.index, failure.index + 1, attempts, lease.suspect)
        step.requeued.append(Requeue(lease.edge, one, wait_s))

    def _strange(
        self, lease: Lease, failure: Failure, worker: WorkerRecord
    ) -> tuple[Failure, bool]:
        """Return a failure for which code of two versions is to blame, with both of them named."""
        if failure.cause != "undecodable" or not lease.edge:
            return failure, False
        made_by = self._state.bodies[lease.body].release
        if not made_by or not worker.release or made_by == worker.release:
            return failure, False
        both = f"release {made_by[:12]} made it, release {worker.release[:12]} cannot read it"
        return replace(failure, error=f"{failure.error} ({both})", final=True), True

    def _set_aside(
        self, step: Transaction, lease: Lease, failure: Failure, worker: WorkerRecord
    ) -> bool:
        """Keep an item, uncharged, for workers of other releases; False if none may come."""
        tried = lease.unread | {worker.release}
        if not self._state.may_be_read(worker.stage, tried):
            return False
        one = Range(lease.body, failure.index, failure.index + 1, lease.attempts, lease.suspect)
        step.requeued.append(Requeue(lease.edge, one, unread=tried))
        return True

    def _retry(
        self, step: Transaction, edge: str, attempts: int, release: str, failed: list[FailedItem]
    ) -> None:
        state = self._state
        wait_s = state.edges[edge].target.spec.retry_s(attempts)
        start = 0
        for items in in_pieces([(one.name, one.item) for one in failed]):
            taken: dict[int, list[tuple[int, int]]] = {}
            for one in failed[start : start + len(items)]:
                taken.setdefault(one.body, []).append((one.index, one.index + 1))
            start += len(items)
            body = Body(state.next_body, len(items), gather(items), release)
            state.next_body += 1
            places = tuple((number, union(tuple(each), ())) for number, each in taken.items())
            step.retried.append(Retry(edge, body, places, attempts, wait_s))

    def died(self, worker: WorkerRecord, died: Died) -> None:
        """Free what a dead worker held. What is settling stands: it was read before the death."""
        held = [lease for lease in worker.leases.values() if lease.live]
        running = [lease for lease in held if died.running in (lease.token, RUNS_ALL)]
        if not running and died.cause.startswith("died:"):
            running = self._repeatedly_held(worker, held)
        for lease in held:
            if lease not in running:
                self._state.give_back(lease, lease.live)
        if not running:
            return
        guilty = self._guilty(running, died)
        pending = Pending(Transaction(), retryable=True)
        for lease in running:
            for lo, hi in lease.live if lease.edge else ():
                if guilty is None:
                    item = Range(lease.body, lo, hi, lease.attempts, suspect=True)
                    pending.step.requeued.append(Requeue(lease.edge, item))
            if guilty is not None and guilty[0] is lease:
                one = ((guilty[1], guilty[1] + 1),)
                rest = subtract(lease.live, one)
                if rest:
                    self._state.give_back(lease, rest)
                # "died: killed by SIGKILL", or why its agent killed it: "timeout: ..."
                text = f"the process {died.cause}" if died.cause[:5] == "died:" else died.cause
                failure = Failure(lease.token, guilty[1], text, "", died.cause.split(":")[0])
                self.charge(pending.step, lease, failure, worker)
                pending.gives_up = pending.step.source is not None
            elif guilty is not None:
                self._state.give_back(lease, lease.live)
            if lease.live:
                pending.settling.append((lease, lease.live))
                self._state.settling(lease, lease.live)
        self._state.commit(pending)

    def suspect(self, lease: Lease, spans: Spans) -> None:
        """Requeue the items of a batch that raised: each runs alone from now on."""
        pending = Pending(Transaction(), retryable=True)
        for lo, hi in spans:
            item = Range(lease.body, lo, hi, lease.attempts, suspect=True)
            pending.step.requeued.append(Requeue(lease.edge, item))
        pending.settling.append((lease, spans))
        self._state.settling(lease, spans)
        self._state.commit(pending)

    def committed(self, step: Transaction) -> None:
        """Let durable charges be seen."""
        state = self._state
        for requeue in step.requeued:
            edge = state.edges[requeue.edge]
            item = requeue.range
            body = state.bodies[item.body]
            edge.bytes += body.size * (item.hi - item.lo) / body.n
            if requeue.unread:
                edge.queue.unread.append((item, requeue.unread))
                state.dirty[edge.spec.target] = None
            elif requeue.wait_s:
                edge.queue.push_later(item, self.now + requeue.wait_s)
                state.alarm(self.now + requeue.wait_s)
            else:
                edge.queue.push(item, front=True)
                state.dirty[edge.spec.target] = None
        if any(requeue.unread for requeue in step.requeued):
            state.offer_unread()  # whoever could read it may have gone by now
        for retry in step.retried:
            for number, spans in retry.taken:
                state.let_go(number, size(spans))
            again = Range(retry.body.id, 0, retry.body.n, retry.attempts)
            due = self.now + retry.wait_s if retry.wait_s else 0.0
            state.put_back(retry.edge, retry.body, again, due)
        for letter in step.letters:
            stage = state.stages[letter.stage]
            stage.dead += 1
            if letter.edge:
                state.gone(letter.edge, letter.held_in, 1)
            if stage.spec.on_failure == "stop":
                self._stop(letter)

    def _repeatedly_held(self, worker: WorkerRecord, held: list[Lease]) -> list[Lease]:
        """Return what workers held that died before they ran it, as often as it has attempts.

        What kills a worker before it can begin, as a body too large for its memory, would do so
        for ever.
        """
        attempts = self._state.stages[worker.stage].spec.attempts
        found: list[Lease] = []
        for lease in held:
            if not lease.edge:
                continue
            place = (lease.edge, lease.body, lease.live[0][0])
            deaths = self._deaths.pop(place, 0) + 1
            self._deaths[place] = deaths
            if deaths >= attempts:
                found.append(lease)
        for place in tuple(self._deaths)[: max(0, len(self._deaths) - _REMEMBERED)]:
            del self._deaths[place]
        return found

    def _guilty(self, running: list[Lease], died: Died) -> tuple[Lease, int] | None:
        """Return the one lease and index that must have been running, if there is just one."""
        if died.index >= 0 and len(running) == 1:
            one = ((died.index, died.index + 1),)
            if intersect(running[0].live, one):
                return running[0], died.index
        if sum(lease.items for lease in running) == 1:
            return running[0], running[0].live[0][0]
        return None

    def _charge_source(
        self, step: Transaction, lease: Lease, failure: Failure, worker: WorkerRecord
    ) -> None:
        stage = self._state.stages[worker.stage]
        source = stage.source(worker.index)
        if failure.payload:  # one value was lost, the source goes on
            step.letters.append(self._letter(lease, failure, worker, 1, (0, failure.index), None))
            return
        source.failures += 1
        spec = stage.spec
        if source.failures < spec.attempts and not failure.final:
            wait_s = spec.retry_s(source.failures)
            source.not_before = self.now + wait_s
            self._state.alarm(source.not_before)
            self._state.effects.append(
                Failed(spec.name, spec.name, source.failures, spec.attempts, failure.error, wait_s)
            )
            return
        name = 0, worker.index  # whose cursor a retry opens again
        step.letters.append(self._letter(lease, failure, worker, source.failures, name, None))
        source.seq += 1
        source.ended = True
        step.source = (worker.stage, worker.index, source.cursor)

    def _letter(
        self,
        lease: Lease,
        failure: Failure,
        worker: WorkerRecord,
        attempts: int,
        name: Name,
        item: bytes | None,
        body: Body | PagedBody | None = None,
    ) -> Letter:
        number = self._state.next_letter
        self._state.next_letter += 1
        return Letter(
            letter=number,
            run=self._state.run,
            stage=worker.stage,
            edge=lease.edge,
            body=name[0],
            index=name[1],
            attempts=attempts,
            host=worker.host,
            pid=worker.pid,
            release=worker.release,
            cause=failure.cause,
            error=failure.error,
            traceback=failure.traceback,
            item=item,
            shown=failure.payload,
            made_by="" if body is None else body.release,
            held_in=lease.body,
            place=failure.index,
        )

    def _stop(self, letter: Letter) -> None:
        for stage in self._state.stages.values():
            if stage.spec.is_source:
                stage.paused = f"{letter.stage} failed and says on_failure = stop"
        self._state.effects.append(Stopped(letter.stage, letter.error))
