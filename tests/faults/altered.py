"""``runner`` with something wrong: ``python altered.py WHAT up ...``, for the head's process alone.

What is planted here is what a scenario needs from inside a real head, and the three bugs that the
scenarios have to see: a harness that passes those would prove nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # a script's own folder comes first; the project's root is needed
    sys.path[0] = str(Path(__file__).parents[2])

from msgspec.structs import replace

from pipeline_runner.cluster.certificate import certificate
from pipeline_runner.head import recovery
from pipeline_runner.head.hosts import local_agent
from pipeline_runner.queues.broker.effects import Commit
from pipeline_runner.queues.server import outbox, server, worker_sessions
from pipeline_runner.wire.messages import Settle, Settled
from tests.faults.forgetful import Disk, under_sqlite
from tests.queues import planted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline_runner.queues.broker.effects import Send
    from pipeline_runner.queues.server.outbox import Outbox
    from pipeline_runner.queues.server.server import QueueServer
    from pipeline_runner.wire.server.connection import Connection

LATER_S = 0.02
BAD_LINE = "line.sock"  # where workers find the head's door, in the project's folder
SEALED_LINE, SEALED_PORT = "line.json", "sealed.port"  # its TCP door, and the head's own, there too
SEALED_KEY = bytes(32)
FAILING = "failing"  # once this file is there, no sync succeeds
NOTED = "noted"  # when the first one failed, and each answer after it
_for_life = ExitStack()


def bad_line() -> None:
    """Workers go through a proxy; the agent and the command line do not."""
    _send_workers_to(f"Endpoint(socket={str(Path.cwd() / BAD_LINE)!r})")


def bad_sealed_line() -> None:
    """Workers go over TLS, as those of other hosts do, and through a proxy."""
    listen = server.QueueServer.listen

    def over_tls_too(self: QueueServer, path: Path) -> None:
        listen(self, path)
        port = self.listen_tls("127.0.0.1", 0, certificate(Path.cwd()), SEALED_KEY)
        Path(SEALED_PORT).write_text(f"{port}\n")

    server.QueueServer.listen = over_tls_too  # type: ignore[method-assign]
    _send_workers_to(f"Endpoint.from_json(json.load(open({str(Path.cwd() / SEALED_LINE)!r})))")


def _send_workers_to(door: str) -> None:
    """Have the agent tell its workers of another door: that which an expression gives."""
    tells = (
        "import json;"
        "from dataclasses import replace;"
        "from pipeline_runner.wire.endpoint import Endpoint;"
        "from pipeline_runner.agent import supervise;"
        "start = supervise.start;"
        "supervise.start = lambda *told, **rest: "
        f"start(*told[:4], replace(told[4], door={door}), *told[5:], **rest);"
    )
    entry = vars(local_agent)["_ENTRY"]
    vars(local_agent)["_ENTRY"] = entry.replace("import runpy;", f"{tells}import runpy;")


def failing_sync() -> None:
    """``fdatasync`` returns EIO once the file is there, and stays so."""
    noted = os.open(NOTED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    failed = False

    def fails() -> bool:
        nonlocal failed
        if not failed and os.path.exists(FAILING):  # noqa: PTH110
            failed = True
            os.write(noted, f"failed {time.monotonic()}\n".encode())
        return failed

    put = outbox.Outbox.put

    def noting(self: Outbox, connection: Connection, send: Send) -> None:
        if failed and isinstance(send.message, Settled) and send.message.ok:
            os.write(noted, b"answered\n")
        put(self, connection, send)

    outbox.Outbox.put = noting  # type: ignore[method-assign]
    disk = Disk(Path())
    disk.sync_fails = fails
    _for_life.enter_context(under_sqlite(disk, really_syncs=True))


def _in_two_halves(first: Callable[..., None], second: Callable[..., None]) -> None:
    """Make a settle of a stage between two others two steps with a moment between them."""
    heard = server.QueueServer._on_message

    def in_halves(
        self: QueueServer, connection: Connection, message: Any, bodies: memoryview
    ) -> None:
        if not isinstance(message, Settle) or message.advance or not message.outputs:
            heard(self, connection, message, bodies)
            return
        session, data = connection.session, worker_sessions.split(message, bodies)
        first(self, session, message, data)
        later = asyncio.get_running_loop().call_later
        later(LATER_S, lambda: second(self, session, message, data))

    server.QueueServer._on_message = in_halves  # type: ignore[method-assign]


def _emit(self: QueueServer, message: Settle, data: list[bytes]) -> None:
    self.apply(
        lambda broker, _now: broker.state.effects.append(
            Commit(planted._outputs(broker, message, data))
        )
    )


def emit_then_ack() -> None:
    """Outputs go out first, and the input is crossed off a moment later."""

    def first(self: QueueServer, session: int, message: Settle, data: list[bytes]) -> None:
        _emit(self, message, data)
        if message.claim is not None:
            claim = message.claim
            self.apply(lambda broker, now: broker.claim(session, claim, now))

    def second(self: QueueServer, session: int, message: Settle, _data: list[bytes]) -> None:
        if session in self._workers.by_session:
            alone = replace(message, outputs=(), claim=None)
            self.apply(lambda broker, now: broker.settle(session, alone, (), now))

    _in_two_halves(first, second)


def ack_then_emit() -> None:
    """The input is crossed off first, and its outputs go out a moment later."""

    def first(self: QueueServer, session: int, message: Settle, _data: list[bytes]) -> None:
        alone = replace(message, outputs=())
        self.apply(lambda broker, now: broker.settle(session, alone, (), now))

    def second(self: QueueServer, session: int, message: Settle, data: list[bytes]) -> None:
        if session in self._workers.by_session:  # a worker that died meanwhile sends nothing more
            _emit(self, message, data)

    _in_two_halves(first, second)


def destructive_get() -> None:
    """What was handed out is gone, whatever becomes of whoever took it."""
    vars(recovery)["Broker"] = planted.GetsDestructively


ALTERATIONS: Mapping[str, Callable[[], None]] = {
    "bad-line": bad_line,
    "bad-sealed-line": bad_sealed_line,
    "failing-sync": failing_sync,
    "emit-then-ack": emit_then_ack,
    "ack-then-emit": ack_then_emit,
    "destructive-get": destructive_get,
}


def program(what: str) -> tuple[str, ...]:
    """Return the command that stands in for ``runner``."""
    return sys.executable, str(Path(__file__).resolve()), what


def main() -> int:
    """Alter this process, and be ``runner`` from here on."""
    from pipeline_runner.cli import main as runner

    ALTERATIONS[sys.argv.pop(1)]()
    return runner()


if __name__ == "__main__":
    sys.exit(main())
