"""The releases of this host: wanted in the agent's loop, made present in a thread beside it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from pipeline_runner.agent.fetching import Fetcher
from pipeline_runner.observe.quantity import plural, size
from pipeline_runner.sync.local_writes import told
from pipeline_runner.sync.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.wire.control_messages import Ready
    from pipeline_runner.wire.messages import Message

_LARGE_BYTES = 32 * 1024**2  # to come: worth a word before they are here


class Files:
    """What the agent asks for its files. Nothing here blocks but :meth:`close`.

    ``store`` is the folder for this pipeline's files, ``output`` the one that user code writes to.
    ``send`` reaches the head; ``on_ready`` hears that a release is there, or why it is not, once
    for each :meth:`want`, and with ``compares`` which packages this host has; ``say`` gets what a
    person should know, and what to do about it; ``on_fetch`` how much is to come, if that takes a
    while.
    """

    def __init__(
        self,
        store: Path,
        output: Path,
        send: Callable[[Message], object],
        on_ready: Callable[[Ready], None],
        say: Callable[[str, str], None],
        on_fetch: Callable[[str], None] = lambda _text: None,
        *,
        compares: bool = True,
    ) -> None:
        self.output = output
        self._loop = asyncio.get_running_loop()
        self._on_ready = on_ready
        self._say = say
        self._on_fetch = on_fetch
        self._roots: dict[str, Path] = {}
        self._wanted = ""
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "files")
        self._fetcher = Fetcher(
            Store(store),
            output,
            send=lambda message: self._in_loop(send, message),
            done=lambda ready, root: self._in_loop(self._done, ready, root),
            moved=lambda paths: self._in_loop(self._tell, paths),
            later=lambda seconds, call: self._in_loop(self._later, seconds, call),
            fetches=lambda size_bytes: self._in_loop(self._fetching, size_bytes),
            compares=compares,
        )

    def want(self, release: str) -> None:
        """Make ``release`` present; a second time does nothing while the head stays."""
        if release != self._wanted:
            self._wanted = release
            self._submit(self._fetcher.want, release)

    def root(self, release: str) -> Path | None:
        """Return the folder of ``release`` if it is present."""
        return self._roots.get(release)

    def take_in(self, message: Message, data: bytes | memoryview) -> None:
        """Take in a ManifestData or an ObjectData with what came behind it."""
        self._submit(self._fetcher.take_in, message, data)

    def head_gone(self) -> None:
        """The head is gone: want again what the next one says."""
        self._wanted = ""
        self._submit(self._fetcher.cut)

    def keep_only(self, release: str) -> None:
        """Let all other releases go: no worker runs in them any more."""
        others = self._roots.keys() - {release}
        for other in others:
            del self._roots[other]
        if others:
            self._submit(self._fetcher.keep_only, frozenset({release}))

    def close(self) -> None:
        """Let everything go, once no worker is left."""
        if self._closed:
            return
        self._closed = True
        self._thread.submit(self._fetcher.close).result()
        self._thread.shutdown()

    def _done(self, ready: Ready, root: Path | None) -> None:
        if root is not None:
            self._roots[ready.release] = root
        if ready.release == self._wanted:
            self._on_ready(ready)

    def _tell(self, paths: list[Path]) -> None:
        self._say(*told(paths, self.output))

    def _fetching(self, size_bytes: int) -> None:
        if size_bytes >= _LARGE_BYTES:
            self._on_fetch(f"{size(size_bytes)} of files are on their way")

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._loop.call_later(seconds, self._submit, call)

    def _submit(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._closed:
            self._thread.submit(call, *arguments).add_done_callback(self._check)

    def _check(self, done: Future[None]) -> None:
        """Let a fault of our own be seen: it would wait for somebody to ask for the result."""
        if not done.cancelled() and (error := done.exception()) is not None:
            self._in_loop(_raise, error)

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def synced(ready: Ready) -> str:
    """Return what came, in words; nothing if all of it was here already."""
    if not ready.received_bytes:
        return ""
    whole = f"{plural(ready.files, 'file')}, {size(ready.size_bytes)}"
    if ready.received_bytes > 0.9 * ready.size_bytes:
        return whole
    return f"{whole}, {size(ready.received_bytes)} of it new"


def _raise(error: BaseException) -> None:
    raise error
