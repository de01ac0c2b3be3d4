"""The processes of one client: as many of each function as are wanted, until they are not."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from typing import TYPE_CHECKING, Any, cast

from pipeline_runner.clusterer.wraps import work
from pipeline_runner.errors import NoHead, Refused, RunnerError, UsageError
from pipeline_runner.queues.managers.manager import QueueManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline_runner.clusterer.wraps import Queue

    Function = Callable[..., Any]
    Address = tuple[str, int]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Job:
    """One function and the queues it is joined to."""

    function: Function
    queues: tuple[str, ...]

    @property
    def name(self) -> str:
        """The function's."""
        return getattr(self.function, "__name__", repr(self.function))


class ProcessPool:
    """Works for the queues at ``address``."""

    def __init__(self, address: Address, authkey: bytes) -> None:
        self._address = address
        self._authkey = authkey
        self._jobs: dict[multiprocessing.Process, Job] = {}
        self._asked: set[multiprocessing.Process] = set()  # to stop
        self._ended: Counter[Job] = Counter()  # by themselves

    @property
    def processes(self) -> list[multiprocessing.Process]:
        """Those that have not been seen to end."""
        return list(self._jobs)

    def want(self, counts: Iterable[tuple[Job, int]]) -> None:
        """Start what is missing, and ask what is too much to stop after the item at hand.

        A process that ended by itself is not started again.
        """
        wanted: Counter[Job] = Counter()
        for job, count in counts:
            wanted[job] += count
        self.reap()
        staying = Counter(self._jobs[each] for each in self._jobs.keys() - self._asked)
        for process, job in reversed(self._jobs.items()):
            if process not in self._asked and staying[job] + self._ended[job] > wanted[job]:
                process.terminate()
                self._asked.add(process)
                staying[job] -= 1
        with _signals_blocked():
            for job, count in wanted.items():
                for _ in range(count - staying[job] - self._ended[job]):
                    self._start(job)

    def reap(self) -> None:
        """Let go of processes that have ended."""
        for process in [each for each in self._jobs if not each.is_alive()]:
            job = self._jobs.pop(process)
            if process in self._asked:
                self._asked.remove(process)
            else:
                self._ended[job] += 1

    def join(self) -> None:
        """Wait until every process has ended."""
        for process in self.processes:
            process.join()

    def end(self) -> None:
        """Have each finish the item at hand, and wait; Ctrl-C meanwhile kills them."""
        try:
            for process in self.processes:
                process.terminate()
            self.join()
        except KeyboardInterrupt:
            for process in self.processes:
                process.kill()

    def _start(self, job: Job) -> None:
        process = multiprocessing.Process(
            target=_run,
            args=(job.function, job.queues, self._address, self._authkey),
            name=job.name,
        )
        process.start()
        self._jobs[process] = job


def connect(address: Address, authkey: bytes, names: Sequence[str]) -> list[Queue]:
    """Return the queues ``names`` of the server at ``address``.

    Raises NoHead or Refused if it cannot be used, UsageError for a queue that it does not have.
    """
    manager = QueueManager(address=address, authkey=authkey)
    where = f"{address[0]}:{address[1]}"
    try:
        manager.connect()
        # ``queue`` is what QueueManager registered.
        return [cast("Queue", manager.queue(name)) for name in names]  # type: ignore[attr-defined]
    except AuthenticationError as error:
        raise Refused(f"the server at {where} has another key", hint="see `authkey`") from error
    except (OSError, EOFError) as error:
        raise NoHead(f"no server answers at {where}", hint="start it first") from error
    except ValueError as error:
        raise UsageError(str(error), hint="name it in the server's configure()") from error


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGTERM do what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Keep signals from a child that cannot answer yet: it would die with a traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _run(function: Function, names: Sequence[str], address: Address, authkey: bytes) -> None:
    """Work in a process of its own, until it is told to stop, or its parent or the server ends."""
    asked: list[int] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells the parent too: it decides
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    parent = multiprocessing.parent_process()

    def stopping() -> bool:
        return bool(asked) or (parent is not None and not parent.is_alive())

    name = Job(function, tuple(names)).name
    try:
        work(function, connect(address, authkey, names), stopping)
    except (EOFError, ConnectionError):
        if not stopping():
            sys.stderr.write(f"{name}: the server is gone\n")
            sys.exit(1)
    except RunnerError as error:
        sys.stderr.write(f"{name}: {error.message}\n")
        sys.exit(1)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
