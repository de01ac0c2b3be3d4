"""Makes a release present on this host: what to ask the head, and what to do with its answers.

Blocking, without a thread or a socket of its own: :mod:`.files` runs it beside the agent's loop.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.sync import arrivals, manifest
from pipeline_runner.sync.apply import MissingObject, missing
from pipeline_runner.sync.arrivals import Arrivals, Damaged
from pipeline_runner.sync.checkout import check_out, hand_back
from pipeline_runner.sync.collect import collect
from pipeline_runner.sync.fetch import Fetch
from pipeline_runner.sync.manifest import BadManifest, Manifest
from pipeline_runner.sync.store import full
from pipeline_runner.wire.control_messages import (
    ManifestData,
    ObjectData,
    Ready,
    WantManifest,
    WantObjects,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline_runner.sync.store import Lease, Store
    from pipeline_runner.wire.messages import Message

AGAIN_S = 5.0  # until a disk that was full is tried again
LOOK_S = 0.1  # until it is looked at whether another agent of this machine has it all
MOST_TRIES = 3  # for a release whose files come damaged, or go missing meanwhile


@dataclass(slots=True)
class _Order:
    """What is under way: a manifest first, then the contents that are not here."""

    release: str
    began: float
    data: bytearray = field(default_factory=bytearray)
    manifest: Manifest | None = None
    fetch: Fetch | None = None
    arrivals: Arrivals | None = None
    first: int = 0  # the number of its first request
    fd: int | None = None
    received: int = 0
    tries: int = 0


class Fetcher:
    """``send`` reaches the head, ``done`` hears of every release that is ready or cannot be.

    ``moved`` hears where files are now that user code had written into a release;
    ``later(seconds, call)`` calls in the same thread as everything else here; ``fetches`` hears how
    many bytes are to come. Without ``compares`` nobody wants to know which packages are installed.
    """

    def __init__(
        self,
        store: Store,
        output: Path,
        send: Callable[[Message], None],
        done: Callable[[Ready, Path | None], None],
        moved: Callable[[list[Path]], None],
        later: Callable[[float, Callable[[], None]], None],
        fetches: Callable[[int], None] = lambda _size_bytes: None,
        *,
        compares: bool = True,
    ) -> None:
        self._store = store
        self._output = output
        self._send = send
        self._done = done
        self._moved = moved
        self._later = later
        self._fetches = fetches
        self._compares = compares
        self._leases: dict[str, Lease] = {}
        self._order: _Order | None = None
        self._is_open = False
        self._asked = 0  # requests so far: an answer to one of before is known by its number

    def want(self, release: str) -> None:
        """Make ``release`` present, and no other that was wanted before."""
        self._give_up()
        order = self._order = _Order(release, time.monotonic())
        self._try(order, self._look)

    def take_in(self, message: Message, data: bytes | memoryview) -> None:
        """Take in an answer of the head; one to what is not wanted any more says nothing."""
        order = self._order
        match message:
            case ManifestData() if order is not None and message.release == order.release:
                self._try(order, lambda order: self._manifest(order, message, data))
            case ObjectData() if order is not None and message.release == order.release:
                self._try(order, lambda order: self._objects(order, message, data))
            case _:
                pass

    def cut(self) -> None:
        """The head is gone: what was asked will not come, and what came stays."""
        self._give_up()

    def keep_only(self, releases: frozenset[str]) -> None:
        """End the leases of all others: none of their workers is left."""
        for release in self._leases.keys() - releases:
            lease = self._leases.pop(release)
            with suppress(OSError):  # what was written is still there for the next who looks
                self._tell(hand_back(self._store, lease, self._output))

    def close(self) -> None:
        """End everything."""
        self._give_up()
        self.keep_only(frozenset())

    def _try(self, order: _Order, step: Callable[[_Order], None]) -> None:
        try:
            step(order)
        except (Damaged, MissingObject) as error:
            arrivals.forget(self._store)
            order.tries += 1
            if order.tries < MOST_TRIES and order is self._order and order.manifest:
                self._try(order, self._plan)
            else:
                self._fail(order, error)
        except RunnerError as error:
            self._fail(order, error)
        except OSError as error:
            self._fail(order, full(error, self._store.root))

    def _look(self, order: _Order) -> None:
        """Take what is here already, or ask what there is to fetch."""
        if not self._is_open:
            self._store.open()
            self._output.mkdir(parents=True, exist_ok=True)
            self._is_open = True
        lease = self._leases.get(order.release)
        if lease is not None:
            self._ready(order, lease)
            return
        name = self._store.find(order.release)
        order.manifest = self._store.manifest(name) if name else None
        if order.manifest is not None:
            self._plan(order)
            return
        order.fd = self._store.begin_fetching()
        if order.fd is None:
            self._again(order, LOOK_S)
        else:
            self._send(WantManifest(order.release))

    def _manifest(self, order: _Order, message: ManifestData, data: bytes | memoryview) -> None:
        if not message.total:
            return  # the head has moved on, and says to what
        expected = len(order.data)
        if order.manifest is not None or message.offset != expected:
            return  # it was asked for before the last cut
        if not data or expected + len(data) > message.total or message.total > manifest.MOST_BYTES:
            raise BadManifest("it is larger than any project's")
        order.data += data
        if len(order.data) < message.total:
            self._send(WantManifest(order.release, len(order.data)))
            return
        order.manifest = manifest.read(order.data, order.release)
        order.data = bytearray()
        self._plan(order)

    def _plan(self, order: _Order) -> None:
        """Ask for what is not here, or be done."""
        assert order.manifest is not None
        lacking = missing(self._store, order.manifest)
        if not lacking:
            self._finish(order)
            return
        if order.fd is None:
            order.fd = self._store.begin_fetching()
            if order.fd is None:
                self._again(order, LOOK_S)
                return
        order.arrivals = Arrivals(self._store, lacking)
        here = [(content, size, order.arrivals.here(content)) for content, size in lacking.items()]
        if not order.tries:
            self._fetches(sum(size - so_far for _content, size, so_far in here))
        order.first = self._asked
        order.fetch = Fetch(here, order.first)
        self._ask(order)

    def _ask(self, order: _Order) -> None:
        assert order.fetch is not None
        while (request := order.fetch.ask()) is not None:
            number, wants = request
            self._asked = number + 1
            self._send(WantObjects(number, order.release, wants))

    def _objects(self, order: _Order, message: ObjectData, data: bytes | memoryview) -> None:
        if order.fetch is None or order.arrivals is None or message.seq < order.first:
            return  # an answer to what was asked before something came damaged
        if message.error:
            raise RunnerError(message.error, hint="begin again on the head's host: runner up")
        pieces = order.fetch.answered(message.seq, data, time.monotonic())
        if pieces is None:
            raise Damaged
        self._ask(order)
        order.received += len(data)
        for content, offset, piece in pieces:
            order.arrivals.take(content, offset, piece)
        if order.fetch.is_done:
            self._finish(order)

    def _finish(self, order: _Order) -> None:
        assert order.manifest is not None
        lease, moved = check_out(self._store, order.manifest, self._output)
        self._leases[order.release] = lease
        self._ready(order, lease)
        self._let_go(order)
        self._tell(moved)
        if lease.is_new:
            self._tell(collect(self._store, self._output, time.time()))

    def _tell(self, moved: list[Path]) -> None:
        if moved:
            self._moved(moved)

    def _ready(self, order: _Order, lease: Lease) -> None:
        packages = lease.manifest.packages if self._compares else ()
        ready = Ready(
            order.release,
            python=platform.python_version(),
            packages=dict(_installed(packages)) if packages else {},
            files=lease.manifest.files,
            size_bytes=lease.manifest.size_bytes,
            received_bytes=order.received,
            took_s=time.monotonic() - order.began,
        )
        self._done(ready, lease.root)

    def _fail(self, order: _Order, error: RunnerError) -> None:
        """Say why not, and try again after a while: a disk may have room by then."""
        self._let_go(order)
        problem = f"{error.message}: {error.hint}" if error.hint else error.message
        self._done(Ready(order.release, (problem,)), None)
        if not isinstance(error, BadManifest):
            self._again(order, AGAIN_S)

    def _again(self, order: _Order, seconds: float) -> None:
        def again() -> None:
            if self._order is order:
                self.want(order.release)

        self._later(seconds, again)

    def _give_up(self) -> None:
        order, self._order = self._order, None
        if order is not None:
            self._let_go(order)

    def _let_go(self, order: _Order) -> None:
        if order.arrivals is not None:
            order.arrivals.close()
            order.arrivals = order.fetch = None
        if order.fd is not None:
            os.close(order.fd)
            order.fd = None


def _installed(packages: tuple[str, ...]) -> Mapping[str, str]:
    from pipeline_runner.sync.installed import environment  # few projects name any

    return environment(packages).packages
