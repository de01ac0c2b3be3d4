"""A head's queue server in a process of its own, with its TCP door on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if __name__ == "__main__":  # a script's own folder comes first; the project's root is needed
    sys.path[0] = str(Path(__file__).parents[2])

from pipeline_runner.cluster.certificate import certificate
from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.managers.listener import ManagerListener as StockDoor
from pipeline_runner.queues.server.server import QueueServer
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.control_messages import Answer, Ask
from pipeline_runner.wire.endpoint import Endpoint
from pipeline_runner.wire.messages import Hello
from tests.e2e.kit import until
from tests.queues.shapes import graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_runner.wire.client.connection import Wire
    from pipeline_runner.wire.server.connection import Connection

KEY = bytes(range(32))
TOKEN, SECRET = b"token-01", b"a secret that is used once"
GIFT = b'{"name": "thumbs", "key": "..."}'
_PATIENCE_S = 20.0


class Keys:
    """A door key, and one token."""

    def __init__(self) -> None:
        self._secrets = {TOKEN: SECRET}

    def keys(self) -> tuple[bytes, ...]:
        return (KEY,)

    def secret(self, token: bytes) -> bytes | None:
        return self._secrets.get(token)

    def redeem(self, token: bytes) -> bytes:
        del self._secrets[token]
        return GIFT


class Head:
    """Answers what it is asked, and writes down what it would tell a person."""

    def peer_said(self, connection: Connection, message: Any) -> None:
        if isinstance(message, Ask) and message.verb == "data":
            size = message.arguments["size"]
            self.server.send(connection, Answer({}), bytes(size))
        elif isinstance(message, Ask):
            self.server.send(connection, Answer({"verb": message.verb}))

    def warn(self, text: str, hint: str = "") -> None:
        print(json.dumps(text), flush=True)

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_arguments: None


async def _serve(folder: Path, most_item: int) -> None:
    head = Head()
    broker = Broker(graph((("numbers", "keep"),)), run="r")
    server = head.server = QueueServer(broker, head, folder, most_item=most_item)  # type: ignore[arg-type]
    server.listen(folder / "head.sock")
    port = server.listen_tls("127.0.0.1", 0, certificate(folder), Keys())
    loop = asyncio.get_running_loop()
    server.door = StockDoor(server, loop, KEY, most_item=most_item, warn=head.warn)
    server.door.listen_unix(folder / "stock.sock")
    print(json.dumps(port), flush=True)
    await asyncio.Event().wait()


@dataclass
class House:
    """A server that serves. ``door`` is where, and by what it is known."""

    popen: subprocess.Popen[str]
    said: Path
    door: Endpoint
    unix: Endpoint
    stock: Path

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.popen.pid)

    def warnings(self) -> list[str]:
        return [json.loads(line) for line in self.said.read_text().splitlines()[1:]]

    def cpu_s(self) -> float:
        used = self.process.cpu_times()
        return used.user + used.system

    def resident(self) -> int:
        size: int = self.process.memory_info().rss
        return size

    def forget_peak(self) -> int:
        """Begin to watch for a new peak, and return what is resident now, in bytes."""
        Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")
        return self.peak()

    def peak(self) -> int:
        """Return the most bytes that were resident since :meth:`forget_peak`."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def opens(self) -> int:
        """How many descriptors it has open."""
        return self.process.num_fds()


@contextmanager
def house(folder: Path, *, most_item: int = 64 * 2**20) -> Iterator[House]:
    """Serve until the block ends; ``folder`` gets its certificate."""
    said = folder / "said"
    with said.open("w") as out:
        popen = subprocess.Popen(
            [sys.executable, __file__, str(folder), str(most_item)], stdout=out, text=True
        )
    try:
        until(lambda: said.read_text().endswith("\n") or popen.poll() is not None, "it serves")
        port = int(said.read_text().splitlines()[0])
        fingerprint = certificate(folder).fingerprint
        door = Endpoint(host="127.0.0.1", port=port, fingerprint=fingerprint, key=KEY.hex())
        yield House(
            popen, said, door, Endpoint(socket=str(folder / "head.sock")), folder / "stock.sock"
        )
    finally:
        popen.terminate()
        popen.wait()


def visit(door: Endpoint, timeout_s: float = 10.0) -> Wire:
    """Come in as a command line does, with a question that is answered."""
    wire = open_wire(door, timeout_s)
    try:
        wire.send(Hello("control", "somewhere"))
        wire.send(Ask("ps"))
        answer, _none = wire.receive()
    except BaseException:
        wire.close()
        raise
    assert answer == Answer({"verb": "ps"})
    return wire


def visit_s(door: Endpoint) -> float:
    """Return the seconds that a good visit takes, from connecting to the answer."""
    began = time.monotonic()
    visit(door).close()
    return time.monotonic() - began


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        os.chdir(sys.argv[1])
        asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
