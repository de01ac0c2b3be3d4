"""The worker process: ``python -m pipeline_runner.worker FD``, FD being its page.

Our own imports come first and the project's folder after them: a user's ``queue.py`` must not
stand in for the standard library's.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline_runner import native
from pipeline_runner.errors import NoHead, RunnerError
from pipeline_runner.worker import context as contexts
from pipeline_runner.worker import eventloop
from pipeline_runner.worker.call import load
from pipeline_runner.worker.exceptions import describe, format_traceback
from pipeline_runner.worker.job import Job
from pipeline_runner.worker.loops.batches import BatchLoop
from pipeline_runner.worker.loops.items import ItemLoop
from pipeline_runner.worker.loops.limits import Limits
from pipeline_runner.worker.loops.source import SourceLoop
from pipeline_runner.worker.nested_runs import importing
from pipeline_runner.worker.page import Page
from pipeline_runner.worker.release_errors import cure, missing_module, stand_in
from pipeline_runner.worker.session.failover import fail_over
from pipeline_runner.worker.session.session import WorkerSession

if TYPE_CHECKING:
    from pipeline_runner.worker.call import Target
    from pipeline_runner.worker.loops.concurrent import ConcurrentLoop

EXIT_DRAINED = 0
EXIT_FINISHED = 64  # the stage has ended
EXIT_RECYCLE = 65  # max_items or max_memory was reached: start another
EXIT_NO_HEAD = 66
EXIT_NO_START = 67  # user code could not be imported or built
EXIT_CLOSED = 68  # user code closed this worker's own descriptors
EXIT_NO_MODULE = 69  # it needs a module that this host does not have; the page names it

EXIT_FUNCTIONS_S = 30.0  # what users registered for the exit may take so long
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 * 1024**2


def main() -> int:
    """Run one stage until its end, a stop, a limit, or the end of the head or the agent."""
    page = Page(int(sys.argv[1]))
    job = Job.from_json(page.job())
    _die_with(job.parent)
    _keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        # UTF-8 is what its agent reads, whatever the locale here. What a print cannot encode is
        # shown escaped, and fails no item.
        stream.reconfigure(  # type: ignore[union-attr]
            encoding="utf-8", line_buffering=True, errors="backslashreplace"
        )
    os.environ.pop("PYTHONSAFEPATH", None)  # ours, and not for what user code starts
    sys.dont_write_bytecode = True  # the project's folder is the user's, and stays as it is
    os.chdir(job.root)
    sys.path.insert(0, job.root)
    if job.release:
        stand_in(job.root)
    sys.argv[:] = [job.run]
    try:
        link = WorkerSession.open(job, page)
    except (NoHead, EOFError, OSError):
        return EXIT_NO_HEAD
    except RunnerError as error:  # it is there, and takes us for a stranger
        sys.stderr.write(f"{error.message}\n")
        return EXIT_NO_HEAD
    _take_signals(link)
    os.register_at_fork(after_in_child=lambda: _stand_apart(link, page))
    return _work(job, page, link)


def _take_signals(link: WorkerSession) -> None:
    link.stop_on(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the head's to interpret


def _stand_apart(link: WorkerSession, page: Page) -> None:
    """Keep a forked child from speaking for this worker, even if it returns into our loop."""
    link.line.leave()
    page.leave()


def _work(job: Job, page: Page, link: WorkerSession) -> int:
    limits = Limits(job.max_items, job.max_memory)
    ended = [False]
    loops: list[ItemLoop | BatchLoop | SourceLoop | ConcurrentLoop] = []
    _log_to_stderr(job.stage)
    contexts.enter(
        contexts.Context(
            job.stage,
            job.host,
            job.index,
            job.count,
            job.release,
            Path(job.output),
            link.ledger.run,
            lambda: loops[0].item() if loops else ("", 1),
            lambda: ended[0],
        )
    )
    try:
        with importing():
            target = load(job.run)
    except BaseException as error:  # noqa: BLE001  (an import may raise anything, SystemExit too)
        if job.joined and (module := missing_module(error)):
            page.lack(module)  # told once for all workers, with its cure
            return EXIT_NO_MODULE
        sys.stderr.write(format_traceback(error))
        if cure(error):
            sys.stderr.write(f"{describe(error)}\n")  # the last line is the one that is shown
        return EXIT_NO_START
    _take_signals(link)  # back, if the import took them
    if job.hold_s:
        fail_over(link, job, page)
    loops.append(_loop(job, target, link, page, limits))
    page.ready()
    try:
        loops[0].run()
        ended[0] = link.ended
        page.closing(ended=link.ended)
        _close(target)
        link.finish()
    except (EOFError, ConnectionError, BrokenPipeError):
        return EXIT_NO_HEAD
    except OSError as error:
        if link.line.left:
            os._exit(EXIT_DRAINED)  # a child that user code forked and let return
        if error.errno in (errno.EBADF, errno.ENOTSOCK):
            return EXIT_CLOSED
        raise
    if link.ended:
        return EXIT_FINISHED
    return EXIT_RECYCLE if limits.reached else EXIT_DRAINED


def _loop(
    job: Job, target: Target, link: WorkerSession, page: Page, limits: Limits
) -> ItemLoop | BatchLoop | SourceLoop | ConcurrentLoop:
    if job.kind == "source":
        return SourceLoop(job, target, link, page)
    if job.batch is not None:
        return BatchLoop(job, job.batch, target, link, page, limits)
    if target.kind in ("async", "asyncgen"):
        from pipeline_runner.worker.loops.concurrent import ConcurrentLoop  # asyncio costs a third

        return ConcurrentLoop(job, target, link, page, limits)
    return ItemLoop(job, target, link, page, limits)


def _close(target: Target) -> None:
    try:
        closing = target.close()
        if closing is not None:
            eventloop.run(closing)
        eventloop.close()
    except BaseException:  # noqa: BLE001  (what it settled stands, whatever close() does)
        traceback.print_exc()
    _flush()


def _die_with(parent: int) -> None:
    """Ask the kernel to kill us when the agent is gone: nobody else would."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_NO_HEAD)  # it went before we asked


def _keep_memory() -> None:
    """Have the C library keep what large items free, for the next ones.

    By its own rules each large item is new memory from the kernel, a page fault every 4 KiB.
    """
    with contextlib.suppress(OSError, AttributeError):  # it is not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _log_to_stderr(stage: str) -> None:
    logger = logging.getLogger(f"pipeline_runner.stage.{stage}")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _exit_late(code: int) -> NoReturn:
    native.sleep(EXIT_FUNCTIONS_S)
    os._exit(code)


def _leave(code: int) -> NoReturn:
    """Exit at once: the work is settled, and user code may have left threads that never end."""
    native.start(_exit_late, code)
    with contextlib.suppress(BaseException):
        if "multiprocessing.process" in sys.modules:
            from multiprocessing import active_children

            for child in active_children():  # it would be waited for, and it may never end
                child.kill()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001  (what users registered must still run)
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # user code may have closed it or put it away
            stream.flush()


if __name__ == "__main__":
    _leave(main())
