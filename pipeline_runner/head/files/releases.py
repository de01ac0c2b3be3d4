"""The project's files on the head: read once into a release, then given piece by piece."""

from __future__ import annotations

import asyncio
import platform
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.head.files.chunks import Pieces, may_ask
from pipeline_runner.sync.checkout import check_out, hand_back
from pipeline_runner.sync.collect import collect
from pipeline_runner.sync.environment import Environment, Fit, compare
from pipeline_runner.sync.fetch import PIECE
from pipeline_runner.sync.installed import cure, environment, named
from pipeline_runner.sync.local_writes import told
from pipeline_runner.sync.scan import Scanner
from pipeline_runner.sync.store import Halted, Store, full
from pipeline_runner.sync.survey import rules_of
from pipeline_runner.wire.control_messages import (
    ManifestData,
    ObjectData,
    WantManifest,
    WantObjects,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.sync.scan import Scan
    from pipeline_runner.sync.store import Lease
    from pipeline_runner.wire.control_messages import Ready, Want
    from pipeline_runner.wire.server.connection import Connection

FOLDER = "files"  # of the state folder
_REMEMBERED_S = 60.0
_LONG_S = 3.0  # from then on it is worth a word
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the project. ``name`` is empty where workers run in the project itself.

    ``code`` names its Python modules alone; ``root`` is where the head's own host has it.
    """

    name: str
    code: str
    root: Path
    files: int = 0
    size_bytes: int = 0


class Releases:
    """``current`` is None until ``ready`` is called in the loop; or ``failed`` is, and that is all.

    ``send`` is the server's; ``warn`` tells a person.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        send: Callable[[Connection, ManifestData | ObjectData, bytes | None], None],
        ready: Callable[[], None],
        failed: Callable[[RunnerError], None],
        warn: Callable[[str, str], None],
    ) -> None:
        self.current: Release | None = None
        self._pipeline = pipeline
        self._send = send
        self._ready = ready
        self._failed = failed
        self._warn = warn
        self._loop = asyncio.get_running_loop()
        self._store = Store(pipeline.state_dir / FOLDER)
        self._thread = ThreadPoolExecutor(1, "files")
        self._closed = False
        self._lease: Lease | None = None
        self._allowed: Mapping[str, str] = {}
        self._here: Future[Environment] | None = None
        self._pieces = Pieces(self._store.objects)

    def begin(self, secrets: Sequence[bytes] = ()) -> None:
        """Read the project, in a thread; one that has no file is run where it is.

        Files that hold one of ``secrets`` do not travel.
        """
        if not self._pipeline.file.is_file():
            self.current = Release("", "", self._pipeline.root)
            self._ready()
            return
        self._thread.submit(self._make, tuple(secrets)).add_done_callback(
            lambda made: self._in_loop(self._made, made)
        )
        self._loop.call_later(_LONG_S, self._tell_of_reading)

    def answer(self, connection: Connection, message: WantManifest | WantObjects) -> None:
        """Answer an agent; what it asks for is read in a thread."""
        if self._closed:
            return
        lease = self._lease
        if lease is None or message.release != lease.manifest.release:
            if isinstance(message, WantManifest):
                self._send(connection, ManifestData(message.release, message.offset, 0), None)
            else:
                error = "the head has another release by now"
                self._send(connection, ObjectData(message.seq, message.release, error), None)
            return
        if isinstance(message, WantManifest):
            data = lease.manifest.data
            piece = data[message.offset : message.offset + PIECE]
            self._send(connection, ManifestData(message.release, message.offset, len(data)), piece)
            return
        if not may_ask(lease.manifest.objects, message.wants):
            connection.refuse("it asked for what is not in the release")
            return
        self._thread.submit(self._read, message.wants).add_done_callback(
            lambda read: self._in_loop(self._give, connection, message, read)
        )

    def check(self, ready: Ready) -> tuple[str, ...]:
        """Return why the host of ``ready`` cannot work, each with its cure; nothing if it can."""
        return (*ready.problems, *self._fit(ready).problems)

    def notes(self, ready: Ready) -> tuple[str, ...]:
        """Return what of that host is only worth a word."""
        return self._fit(ready).notes

    def cure(self, module: str, then: Callable[[str], None]) -> None:
        """Look up what gives another host a module that this one has, and call ``then`` with it."""
        if not self._closed:
            self._thread.submit(cure, self._pipeline.root, module).add_done_callback(
                lambda found: self._in_loop(then, found.result())
            )

    def close(self) -> None:
        """Let the release go, once no worker is left; tell of what was written into it."""
        if self._closed:
            return
        self._closed = True
        left = self._thread.submit(self._let_go)
        with suppress(OSError):  # what was written is still there, and the next run looks
            self._tell_moved(left.result())
        self._thread.shutdown()

    def _make(self, secrets: tuple[bytes, ...]) -> tuple[Scan, Lease, list[Path]]:
        root = self._pipeline.root
        self._store.open()
        self._allowed = named(root)
        scan = Scanner(
            root,
            self._store,
            rules_of(self._pipeline),
            self._pipeline.sync.max_file,
            tuple(self._allowed),
            secrets,
            go_on=self._goes_on,
        ).scan()
        lease, moved = check_out(self._store, scan.manifest, root, self._goes_on)
        return scan, lease, moved

    def _goes_on(self) -> bool:
        return not self._closed

    def _made(self, made: Future[tuple[Scan, Lease, list[Path]]]) -> None:
        error = made.exception()
        if isinstance(error, Halted):
            return
        if isinstance(error, OSError):
            error = full(error, self._store.root)
        if isinstance(error, RunnerError):
            self._failed(error)
            return
        scan, self._lease, moved = made.result()
        if self._closed:
            return
        manifest = self._lease.manifest
        self.current = Release(
            manifest.release, manifest.code, self._lease.root, manifest.files, manifest.size_bytes
        )
        self._tell_left(scan)
        self._tell_moved(moved)
        self._ready()
        if self._closed:
            return
        # Looked up after what runs here: only a host that joins is compared with it.
        self._here = self._thread.submit(environment, self._allowed)
        if self._lease.is_new:
            self._thread.submit(self._collect).add_done_callback(
                lambda done: self._in_loop(self._collected, done)
            )

    def _collect(self) -> list[Path]:
        return collect(self._store, self._pipeline.root, time.time())

    def _collected(self, done: Future[list[Path]]) -> None:
        if not isinstance(done.exception(), OSError):  # what it could not delete, the next one does
            self._tell_moved(done.result())

    def _tell_of_reading(self) -> None:
        if self.current is None and not self._closed:
            text = "the project's files are still being read: nothing runs before that"
            self._warn(text, "what is so large: runner files --top")

    def _tell_left(self, scan: Scan) -> None:
        left = [each for each in scan.left if not each.ruled]
        for each in left[:_SHOWN]:
            cure = f'workers run without it; ignore = ["/{each.path}"] in [sync] says so for good'
            self._warn(f"{each.path!r} does not travel: {each.why}", cure)
        if len(left) > _SHOWN:
            more = f"{len(left) - _SHOWN:,} more files do not travel"
            self._warn(more, "all of them, and why: runner files")

    def _tell_moved(self, moved: list[Path]) -> None:
        if moved:
            self._warn(*told(moved, self._pipeline.root))

    def _read(self, wants: tuple[Want, ...]) -> bytes:
        if not self._pieces.remembers:
            self._in_loop(self._forget_later)
        return self._pieces.read(wants)

    def _forget_later(self) -> None:
        self._loop.call_later(_REMEMBERED_S, self._forget)

    def _forget(self) -> None:
        if not self._closed:
            self._thread.submit(self._pieces.forget)

    def _give(self, connection: Connection, message: WantObjects, read: Future[bytes]) -> None:
        if connection.closed or read.cancelled():
            return
        data, error = None, ""
        if isinstance(read.exception(), (OSError, EOFError)):
            error = f"the head lacks a file that it had: {self._store.root} was changed"
        else:
            data = read.result()
        self._send(connection, ObjectData(message.seq, message.release, error), data)

    def _fit(self, ready: Ready) -> Fit:
        if not ready.python:
            return Fit(())
        head = Environment(platform.python_version(), {})
        if ready.packages and self._here is not None:
            head = self._here.result()  # it has long been looked up, or is within milliseconds
        return compare(head, Environment(ready.python, ready.packages), self._allowed)

    def _let_go(self) -> list[Path]:
        lease, self._lease = self._lease, None
        return [] if lease is None else hand_back(self._store, lease, self._pipeline.root)

    def _in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
