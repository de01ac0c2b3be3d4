"""A project to read, a head that serves it and a host that fetches it, without a wire."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.agent.fetching import Fetcher
from pipeline_runner.sync.fetch import PIECE
from pipeline_runner.sync.ignore import rules
from pipeline_runner.sync.scan import Scan, Scanner
from pipeline_runner.sync.store import Store
from pipeline_runner.wire.control_messages import (
    ManifestData,
    ObjectData,
    Ready,
    WantManifest,
    WantObjects,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pipeline_runner.sync.ignore import Rules
    from pipeline_runner.wire.messages import Message

Answer = tuple["ManifestData | ObjectData", bytes]


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files by path."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data.encode() if isinstance(data, str) else data)


def store(root: Path) -> Store:
    """Return an open store."""
    made = Store(root)
    made.open()
    return made


def scan(root: Path, into: Store, by: Rules | None = None, **more: object) -> Scan:
    """Read the project at ``root``."""
    return Scanner(root, into, by or rules(), 1 << 40, **more).scan()  # type: ignore[arg-type]


def tree(root: Path) -> dict[str, str | bytes]:
    """Return what is below ``root``: bytes of files, targets of links, "" of empty folders."""
    return dict(_tree(root, ""))


def _tree(root: Path, below: str) -> Iterator[tuple[str, str | bytes]]:
    for path in sorted(root.iterdir()):
        name = below + path.name
        if path.is_symlink():
            yield name, str(path.readlink())
        elif path.is_dir():
            inner = list(_tree(path, f"{name}/"))
            yield from inner or [(name, "")]
        else:
            yield name, path.read_bytes()


class Head:
    """Answers as a head does; ``spoil`` may change an answer on its way."""

    def __init__(self, serving: Store, of: Scan) -> None:
        self.store = serving
        self.manifest = of.manifest
        self.spoil: Callable[[Answer], Answer] = lambda answer: answer
        self.served = 0

    def answer(self, message: Message) -> Answer:
        """Return the answer and what is behind it."""
        if isinstance(message, WantManifest):
            data = self.manifest.data[message.offset : message.offset + PIECE]
            total = len(self.manifest.data)
            return self.spoil((ManifestData(message.release, message.offset, total), data))
        assert isinstance(message, WantObjects)
        data = b"".join(
            self.store.objects.path(content.hex()).read_bytes()[offset : offset + size]
            for content, offset, size in message.wants
        )
        self.served += len(data)
        return self.spoil((ObjectData(message.seq, message.release), data))


@dataclass
class Host:
    """A host that fetches what it wants, one answer after the other."""

    store: Store
    output: Path
    asked: deque[Message] = field(default_factory=deque)
    ready: list[tuple[Ready, Path | None]] = field(default_factory=list)
    moved: list[Path] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(
            self.store,
            self.output,
            self.asked.append,
            lambda ready, root: self.ready.append((ready, root)),
            self.moved.extend,
            lambda _seconds, call: self.waiting.append(call),
        )

    def fetch(self, head: Head, *, most: int | None = None) -> Path | None:
        """Want the head's release and take in at most ``most`` answers; return where it is."""
        self.fetcher.want(head.manifest.release)
        while self.asked and most != 0:
            self.fetcher.take_in(*head.answer(self.asked.popleft()))
            most = None if most is None else most - 1
        return self.ready[-1][1] if self.ready else None


def host(root: Path) -> Host:
    """Return a host with nothing in its cache."""
    (root / "output").mkdir(parents=True, exist_ok=True)
    return Host(Store(root / "cache"), root / "output")
