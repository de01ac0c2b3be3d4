"""``BaseClient``: processes that work for the queues of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_runner.clusterer.process_pool import Job, ProcessPool, connect, interruptible
from pipeline_runner.clusterer.wraps import check
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Function = Callable[..., Any]


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
        wanted = together(funcs, args, num_process)
        names = [name for job, _count in wanted for name in job.queues]
        crew: ProcessPool | None = None
        with interruptible():
            try:
                address = self._where()
                connect(address, self._authkey, names)
                crew = ProcessPool(address, self._authkey)
                crew.want(wanted)
                crew.join()
            except KeyboardInterrupt:
                if crew is not None:
                    crew.end()

    def _where(self) -> tuple[str, int]:
        return self._address


def together(funcs: Any, args: Any, num_process: Any) -> list[tuple[Job, Any]]:
    """Return each function with its queues, and its number; each may be one or a list.

    Raises UsageError for what does not fit together.
    """
    if callable(funcs):
        funcs, args = [funcs], [args]
    is_one = isinstance(num_process, (int, str, dict))
    counts = [num_process] * len(funcs) if is_one else num_process
    if not len(funcs) == len(args) == len(counts):
        raise UsageError(
            f"{len(funcs)} functions, {len(args)} lists of queues and {len(counts)} numbers",
            hint="give one of each for every function",
        )
    for function, names in zip(funcs, args, strict=True):
        check(function, names)
    return [
        (Job(function, tuple(names)), count)
        for function, names, count in zip(funcs, args, counts, strict=True)
    ]
