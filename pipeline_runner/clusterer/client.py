"""``BaseClient``: processes that work for the queues of a server."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from multiprocessing import AuthenticationError
from typing import TYPE_CHECKING, Any, cast

from pipeline_runner.clusterer.wraps import check, work
from pipeline_runner.errors import NoHead, Refused, RunnerError, UsageError
from pipeline_runner.queues.manager import QueueManager

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_runner.clusterer.wraps import Queue

    Function = Callable[..., Any]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class BaseClient:
    """Works for the server at ``address``, (host, port), that has the same ``authkey``."""

    def __init__(self, address: tuple[str, int], authkey: bytes) -> None:
        self._address = address
        self._authkey = authkey

    def process(
        self,
        funcs: Function | Sequence[Function],
        args: Sequence[str] | Sequence[Sequence[str]],
        num_process: int | Sequence[int] = 1,
    ) -> None:
        """Run each function in so many processes, joined to the queues ``args`` names for it.

        Takes one function with its queues and number, or a list of each. Returns when all
        processes have ended, or after Ctrl-C when each has finished the item at hand; a second
        Ctrl-C kills them. Raises UsageError for what does not fit together, NoHead or Refused if
        the server cannot be used.
        """
        plan = _plan(funcs, args, num_process)
        _connect(self._address, self._authkey, [name for _f, names, _n in plan for name in names])
        processes = [
            multiprocessing.Process(
                target=_run,
                args=(function, names, self._address, self._authkey),
                name=_name(function),
            )
            for function, names, count in plan
            for _ in range(count)
        ]
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            # A child that is signalled before it can answer would die with a traceback.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            for process in processes:
                process.start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            for process in processes:
                process.join()
        except KeyboardInterrupt:
            _end(processes)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            signal.signal(signal.SIGTERM, before)


def _plan(funcs: Any, args: Any, num_process: Any) -> list[tuple[Function, tuple[str, ...], int]]:
    if callable(funcs):
        funcs, args = [funcs], [args]
    counts = [num_process] * len(funcs) if isinstance(num_process, int) else num_process
    if not len(funcs) == len(args) == len(counts):
        raise UsageError(
            f"{len(funcs)} functions, {len(args)} lists of queues and {len(counts)} numbers",
            hint="give one of each for every function",
        )
    for function, names in zip(funcs, args, strict=True):
        check(function, names)
    return [
        (function, tuple(names), count)
        for function, names, count in zip(funcs, args, counts, strict=True)
    ]


def _connect(address: tuple[str, int], authkey: bytes, names: Sequence[str]) -> list[Queue]:
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


def _run(
    function: Function, names: Sequence[str], address: tuple[str, int], authkey: bytes
) -> None:
    """Work in a process of its own, until it is told to stop, or its parent or the server ends."""
    asked: list[int] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells the parent too: it decides
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    parent = multiprocessing.parent_process()

    def stopping() -> bool:
        return bool(asked) or (parent is not None and not parent.is_alive())

    try:
        work(function, _connect(address, authkey, names), stopping)
    except (EOFError, ConnectionError):
        if not stopping():
            sys.stderr.write(f"{_name(function)}: the server is gone\n")
            sys.exit(1)
    except RunnerError as error:
        sys.stderr.write(f"{_name(function)}: {error.message}\n")
        sys.exit(1)


def _end(processes: Sequence[multiprocessing.Process]) -> None:
    started = [process for process in processes if process.pid is not None]
    try:
        for process in started:
            process.terminate()
        for process in started:
            process.join()
    except KeyboardInterrupt:
        for process in started:
            process.kill()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _name(function: Function) -> str:
    return getattr(function, "__name__", repr(function))
