"""``FunctionServer`` and ``FunctionClient``: the server says which functions each client runs."""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
from importlib import import_module
from multiprocessing import AuthenticationError, connection
from typing import TYPE_CHECKING, Any

from pipeline_runner.agent.facts import facts
from pipeline_runner.clusterer.assignments import Assignments, duty
from pipeline_runner.clusterer.broadcast import PORT, BroadcastServer
from pipeline_runner.clusterer.client import together
from pipeline_runner.clusterer.coordinator import Coordinator
from pipeline_runner.clusterer.finding import FUNCTIONS, announced, look_for, warn_of_short
from pipeline_runner.clusterer.process_pool import Job, ProcessPool, interruptible
from pipeline_runner.clusterer.wraps import check
from pipeline_runner.errors import NoHead, Refused, UsageError
from pipeline_runner.plan.hosts import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from typing_extensions import Self

    from pipeline_runner.clusterer.assignments import Duty, Rule
    from pipeline_runner.clusterer.process_pool import Address
    from pipeline_runner.clusterer.server import Beside

    Function = Callable[..., Any]

_MOST_WORK = 1024**2  # bytes


class FunctionServer(BroadcastServer):
    """A server that has the queues, and tells each client that comes which functions to run."""

    def __init__(self, *, authkey: bytes, port: int = PORT, host: str = "") -> None:
        super().__init__(authkey=authkey, port=port, host=host)
        self._duties: list[Duty] = []

    def distribute(
        self,
        funcs: Function | Sequence[Function],
        args: Sequence[str] | Sequence[Sequence[str]],
        num_process: Rule | Sequence[Rule] = 1,
    ) -> Self:
        """Have clients run these functions, joined to the queues ``args`` names for each.

        A number, or an expression such as ``"cores-1"``, is so many on each client. A table says
        more, in the words of a pipeline file: ``{"processes": 1}`` is one in all,
        ``{"per_host": {"rig-*": 4, "*": 1}, "constraints": ["memory >= 8GiB"]}`` what it says.
        Clients import the functions by their names. Raises UsageError for what does not fit
        together.
        """
        wanted = together(funcs, args, num_process)
        missing = sorted({name for job, _rule in wanted for name in job.queues} - {*self._queues})
        if missing:
            raise UsageError(
                f"there is no queue {missing[0]!r}", hint="name it in configure(), before"
            )
        self._duties = [duty(job, rule) for job, rule in wanted]
        return self

    def runserver(self) -> None:
        """Serve until Ctrl-C. Raises UsageError without queues or functions."""
        if not self._duties:
            raise UsageError("there are no functions to run", hint="distribute(...) them first")
        super().runserver()

    def _beside(self, port: int) -> Iterable[Beside]:
        host = self._address[0]
        listener = socket.create_server((host, 0))
        foreman = Coordinator(listener, self._authkey, Assignments(self._duties), port)
        at = int(listener.getsockname()[1])
        found = announced(FUNCTIONS, self._authkey, host, at)
        return (*super()._beside(port), foreman.begin, found)


class FunctionClient:
    """Runs what the server with this ``authkey`` says, whichever answers on the network.

    ``labels`` are for the server's rules: ``label.room == lab``.
    """

    def __init__(self, authkey: bytes, *, labels: Mapping[str, str] | None = None) -> None:
        self._authkey = authkey
        self._labels = dict(labels or {})

    def process(self) -> None:
        """Run what the server says, as long as it is there; waits for one until it answers.

        Ctrl-C finishes the items at hand; a second one kills. Raises Refused for another key,
        UsageError for a function that is not here.
        """
        warn_of_short(self._authkey)
        with interruptible():
            try:
                address = look_for(FUNCTIONS, self._authkey)
                with _connect(address, self._authkey) as line:
                    self._work(line, address[0])
            except KeyboardInterrupt:
                return

    def _work(self, line: connection.Connection[bytes, bytes], server: str) -> None:
        """Run what the server says on ``line``, until its end or Ctrl-C."""
        host = Host(socket.gethostname(), **facts(), labels=self._labels)
        line.send_bytes(json.dumps(host.as_json()).encode())
        crew: ProcessPool | None = None
        try:
            while (told := _next(line, crew)) is not None:
                crew = crew or ProcessPool((server, told["queues"]), self._authkey)
                crew.want([(job(run, queues), count) for run, queues, count in told["work"]])
            sys.stderr.write("the server is gone\n")
        except KeyboardInterrupt:
            line.close()  # what this client ran goes to others at once
        finally:
            if crew is not None:
                crew.end()


def job(run: str, queues: Sequence[str]) -> Job:
    """Return the function ``module:name`` with its queues, imported here.

    Raises UsageError if it is not here, or not one that is joined to queues.
    """
    module, _colon, name = run.partition(":")
    try:
        function: Any = import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the server wants {run}, which is not here: {error}",
            hint="copy the server's files to this machine, and start the client beside them",
        ) from error
    check(function, queues)
    return Job(function, tuple(queues))


def _connect(address: Address, authkey: bytes) -> connection.Connection[bytes, bytes]:
    where = f"{address[0]}:{address[1]}"
    try:
        return connection.Client(address, authkey=authkey)
    except AuthenticationError as error:
        raise Refused(f"the server at {where} has another key", hint="see `authkey`") from error
    except (OSError, EOFError) as error:
        raise NoHead(f"the server at {where} went away", hint="start it again") from error


def _next(
    line: connection.Connection[bytes, bytes], crew: ProcessPool | None
) -> dict[str, Any] | None:
    """Wait for the next word of the server, None for its end, and reap who ends meanwhile."""
    while True:
        processes: list[multiprocessing.Process] = crew.processes if crew else []
        ready = connection.wait([line, *(process.sentinel for process in processes)])
        if line in ready:
            try:
                told: dict[str, Any] = json.loads(line.recv_bytes(_MOST_WORK))
            except (EOFError, OSError):
                return None
            return told
        if crew is not None:
            crew.reap()
