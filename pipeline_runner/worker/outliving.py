"""A worker that outlives its head: find the next one, and go on with it.

User code may run for hours; only a thread can tell the next head in time what is held.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from pipeline_runner.errors import NoHead
from pipeline_runner.worker.reunion import hail

if TYPE_CHECKING:
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.link import Link
    from pipeline_runner.worker.page import Page


def outlive(link: Link, job: Job, page: Page) -> None:
    """Start a thread that looks for the next head whenever the head goes."""
    arguments = (link, job, page)
    threading.Thread(target=_outlive, args=arguments, name="head", daemon=True).start()


def _outlive(link: Link, job: Job, page: Page) -> None:
    line = link.line
    while True:
        line.await_end()
        while not line.is_down and not line.closed:
            link.pump()  # what came before the end counts
        if line.closed or not _find_head(link, job, page):
            return


def _find_head(link: Link, job: Job, page: Page) -> bool:
    deadline = time.monotonic() + job.hold_s
    while time.monotonic() < deadline:
        try:
            wire, session, arena = hail(job)
            with link.lock:
                renaming = link.reunite(wire, session, arena, is_source=job.kind == "source")
                page.rename(renaming)
        except (NoHead, EOFError, OSError):
            # Not all at once: every worker of this host is looking.
            time.sleep(random.uniform(0.02, 0.2))  # noqa: S311
            continue
        link.line.wake()
        return True
    link.line.give_up()
    return False
