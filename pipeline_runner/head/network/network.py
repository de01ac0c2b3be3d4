"""A head on the network: its key, its door for other hosts, its beacon, and whether it is alone."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import TYPE_CHECKING

from pipeline_runner import __version__
from pipeline_runner.cluster.beacon import Beacon
from pipeline_runner.cluster.discovery import twin
from pipeline_runner.cluster.identity import load_or_make
from pipeline_runner.cluster.packets import Offer, words
from pipeline_runner.errors import AlreadyRunning, RunnerError
from pipeline_runner.head.network.keys import Keys
from pipeline_runner.head.network.tls_endpoint import TlsEndpoint
from pipeline_runner.wire.control_messages import NewKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.head.files.releases import Releases
    from pipeline_runner.head.hosts.presence import HostEvents
    from pipeline_runner.head.lifecycle import Lifecycle
    from pipeline_runner.head.view.announcer import Announcer
    from pipeline_runner.queues.server.server import QueueServer
    from pipeline_runner.wire.server.connection import Connection

_ALONE = "whether no other head has our name"
_LOOPBACK = ("127.", "localhost", "::1")


class Network:
    """Lets other machines find and reach this head, from :meth:`open` to :meth:`close`.

    Nothing is begun before it is known that no other head has this name and key; ``refused`` gets
    the error if one has.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        server: QueueServer,
        course: Lifecycle,
        presence: HostEvents,
        releases: Releases,
        teller: Announcer,
        refused: Callable[[RunnerError], None],
    ) -> None:
        self._pipeline = pipeline
        self._server = server
        self._lifecycle = course
        self._host_events = presence
        self._releases = releases
        self._announcer = teller
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._head_id = secrets.token_hex(8)
        self._beacon: Beacon | None = None
        self._search: asyncio.Task[None] | None = None
        self.port = 0
        self.secrets: tuple[bytes, ...] = ()  # what no file that travels may hold
        self.keys: Keys | None = None  # once it is open
        course.wait_for(_ALONE)

    def open(self) -> None:
        """Listen, answer whoever looks for us, and look for another head."""
        try:
            self._open()
        except RunnerError as error:
            self._refused(error)

    def _open(self) -> None:
        pipeline = self._pipeline
        settings = pipeline.server
        identity = load_or_make(pipeline.name, loopback=settings.bind.startswith(_LOOPBACK))
        door = TlsEndpoint(pipeline, identity, self._loop.time)
        self.port = door.open(self._server)
        self.secrets = (identity.key,)
        digest = bytes.fromhex(door.certificate.fingerprint)

        def offer() -> Offer:
            release = self._releases.current
            return Offer(
                head_id=self._head_id,
                name=pipeline.name,
                port=self.port,
                digest=digest,
                version=__version__,
                machine=words(socket.gethostname()),
                revision=1,
                release="" if release is None else release.name[:8],
            )

        self._beacon = Beacon(self._loop, identity, offer, self._announcer.warn, bind=settings.bind)
        self._beacon.open()
        self.keys = Keys(door, settings.bind, self._beacon, self._loop, self._hand_out)

        self._search = self._loop.create_task(self._look_for_another(identity))

    async def _look_for_another(self, identity: Identity) -> None:
        try:
            other = await self._loop.run_in_executor(None, twin, identity, self._head_id)
        except OSError:  # without a network to ask on, nobody else is there either
            other = None
        if other is None:
            text = f"other machines join with `runner join` (this head is at port {self.port})"
            self._announcer.say(text, "the first time: runner token | ssh MACHINE runner join -")
            self._lifecycle.go_on(_ALONE)
            return
        self._refused(already_running(other.name, other.machine, other.host, other.port))

    def greet(self, connection: Connection) -> None:
        """Tell a host that has just joined what it may not know: a key that is new."""
        if connection.remote and self.keys is not None and (news := self.keys.news) is not None:
            self._server.send(connection, NewKey(news.key))

    def _hand_out(self, identity: Identity) -> int:
        return self._host_events.tell(NewKey(identity.key))

    def close(self) -> None:
        """Be found no more; does nothing where it was never open."""
        if self._search is not None:
            self._search.cancel()
        if self._beacon is not None:
            self._beacon.close()
            self._beacon = None


def already_running(name: str, machine: str, host: str, port: int) -> AlreadyRunning:
    """Return what refuses a second head of this ``name``: the first one answers at ``host``."""
    if is_here(host):  # not this folder's: its lock would have told
        return AlreadyRunning(
            f"another folder of this machine runs a pipeline that is called {name}, at port {port}",
            hint=f'change `name = "{name}"` in [pipeline] of one of the two; '
            "or run this one alone: runner up --local",
        )
    return AlreadyRunning(
        f"{name} runs already on {machine or host} ({host}:{port}), with the same key",
        hint="help it: runner join; or stop it there: runner down; "
        "another pipeline needs another `name` in [pipeline]",
    )


def is_here(host: str) -> bool:
    """Whether an address is one of this machine's own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True
