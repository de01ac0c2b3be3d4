"""A worker that outlives its head: find the next one, and go on with it.

User code may run for hours; only a thread can tell the next head in time what is held.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline_runner import native
from pipeline_runner.errors import Refused, RunnerError
from pipeline_runner.wire.endpoint import Endpoint
from pipeline_runner.worker.session.readopt import handshake

if TYPE_CHECKING:
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.page import Page
    from pipeline_runner.worker.session.session import WorkerSession

# A connection that lasted less is followed by a pause, twice as long each time.
_BRIEF_S, _FIRST_PAUSE_S, _MOST_PAUSE_S = 1.0, 0.1, 10.0


def fail_over(link: WorkerSession, job: Job, page: Page) -> None:
    """Start a thread that looks for the next head whenever the head goes."""
    native.start(_outlive, link, job, page)


def _outlive(link: WorkerSession, job: Job, page: Page) -> None:
    line = link.line
    found, pause_s, answered = 0.0, 0.0, 0
    while True:
        line.await_end()
        try:
            while not line.is_down and not line.closed:
                link.pump()  # what came before the end counts
        except OSError:  # user code closed our descriptors: the main thread meets it, and tells
            return
        # Whom a head hangs up on again and again, with nothing done between, must not keep it busy
        # with that. A bad line is something else: work goes on between its cuts.
        lasted_s = _BRIEF_S if link.ledger.answered > answered else time.monotonic() - found
        pause_s, answered = next_pause_s(lasted_s, pause_s), link.ledger.answered
        try:
            if pause_s and not line.closed:
                native.sleep(random.uniform(0.5, 1.0) * pause_s)  # noqa: S311
            if line.closed or not _find_head(link, job, page):
                return
            found = time.monotonic()
        except BaseException:
            line.give_up()  # what waits for a head would wait for ever
            raise


def next_pause_s(lasted_s: float, pause_s: float) -> float:
    """Return how long to wait after a connection that lasted so long, and after a pause before."""
    if lasted_s >= _BRIEF_S:
        return 0.0
    return min(max(2 * pause_s, _FIRST_PAUSE_S), _MOST_PAUSE_S)


def _find_head(link: WorkerSession, job: Job, page: Page) -> bool:
    began = time.monotonic()
    while (now := time.monotonic()) < began + job.hold_s:
        door = page.moved()
        if door is not None:
            job = replace(job, door=Endpoint.from_json(door))
        try:
            wire, session, arena = handshake(job)
            with link.lock:
                renaming = link.reunite(wire, session, arena, is_source=job.kind == "source")
                page.rename(renaming)
        except (RunnerError, EOFError, OSError) as error:
            # Not all at once: every worker of this host is looking, and for hours perhaps. And
            # each refusal makes the head look later at all who come from here.
            most_s = 10.0 if isinstance(error, Refused) else min(0.2 + (now - began) / 50, 2.0)
            native.sleep(random.uniform(0.1, 1.0) * most_s)  # noqa: S311
            continue
        link.line.wake()
        return True
    link.line.give_up()
    return False
