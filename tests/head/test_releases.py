"""The head gives a host the pieces of its release, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.config.parse import load
from pipeline_runner.head.files.releases import Releases
from pipeline_runner.sync.fetch import MOST_WANTS, PIECE
from pipeline_runner.sync.manifest import read
from pipeline_runner.wire.control_messages import (
    ManifestData,
    ObjectData,
    Ready,
    WantManifest,
    WantObjects,
)
from tests.sync import kit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pipeline_runner.errors import RunnerError

FILE = """\
[pipeline]
name = "p"
[stages.a]
run = "functions:a"
"""
BIG = b"big" * PIECE


@dataclass
class Peer:
    """An agent's connection: what it was sent, and why it was refused."""

    sent: list[tuple[Any, bytes | None]] = field(default_factory=list)
    refused: str = ""
    closed: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, message: Any, data: bytes | None) -> None:
        self.sent.append((message, data))
        self.heard.set()

    def refuse(self, why: str) -> None:
        self.refused, self.closed = why, True
        self.heard.set()


class Room:
    """A head's files, ready, and what was said meanwhile."""

    def __init__(self, root: Path) -> None:
        self.ready = asyncio.Event()
        self.errors: list[RunnerError] = []
        self.warned: list[tuple[str, str]] = []
        self.releases = Releases(
            load(root / "pipeline.toml", {}),
            lambda peer, message, data: peer.send(message, data),  # type: ignore[attr-defined]
            self.ready.set,
            self._failed,
            lambda text, hint: self.warned.append((text, hint)),
        )

    def _failed(self, error: RunnerError) -> None:
        self.errors.append(error)
        self.ready.set()

    async def open(self) -> None:
        self.releases.begin()
        await asyncio.wait_for(self.ready.wait(), 20)

    async def answer(self, peer: Peer, message: WantManifest | WantObjects) -> tuple[Any, Any]:
        peer.heard.clear()
        self.releases.answer(peer, message)  # type: ignore[arg-type]
        await asyncio.wait_for(peer.heard.wait(), 20)
        return peer.sent[-1] if peer.sent else (None, None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    kit.write(root, {"pipeline.toml": FILE, "functions.py": "def a(): yield 1\n", "big": BIG})
    return root


def run(root: Path, work: Callable[[Room], Awaitable[None]]) -> Room:
    async def all_of_it() -> Room:
        room = Room(root)
        await room.open()
        try:
            await work(room)
        finally:
            room.releases.close()
        return room

    return asyncio.run(all_of_it())


def test_manifest_and_pieces_come_as_they_were_asked_for(project: Path) -> None:
    async def work(room: Room) -> None:
        current = room.releases.current
        assert current is not None
        peer = Peer()
        message, data = await room.answer(peer, WantManifest(current.name))
        assert message == ManifestData(current.name, 0, len(data))
        manifest = read(data, current.name)
        assert kit.tree(current.root).keys() == {e.path for e in manifest.entries}
        big, small = (e for e in manifest.entries if e.path in ("big", "functions.py"))
        wants = (
            (bytes.fromhex(small.content), 0, small.size),
            (bytes.fromhex(big.content), PIECE, 1000),
        )
        message, data = await room.answer(peer, WantObjects(7, current.name, wants))
        assert message == ObjectData(7, current.name)
        assert data == b"def a(): yield 1\n" + BIG[PIECE : PIECE + 1000]

    run(project, work)


def test_what_is_not_in_the_release_is_given_to_nobody(project: Path) -> None:
    kit.write(project, {".env": "secret"})

    async def work(room: Room) -> None:
        current = room.releases.current
        assert current is not None
        peer = Peer()
        _message, data = await room.answer(peer, WantManifest(current.name))
        (big,) = (e for e in read(data, current.name).entries if e.path == "big")
        content = bytes.fromhex(big.content)
        for wants in (
            ((b"\0" * 32, 0, 1),),
            ((b"../../../etc/passwd", 0, 1),),
            ((b"", 0, 1),),
            ((content, 0, PIECE + 1),),
            ((content, big.size - 1, 2),),
            ((content, -1, 2),),
            ((content, 0, -1),),
            ((content, 0, 0),),
            ((content, 0, PIECE), (content, 0, PIECE)),
            ((content, 0, 1),) * (MOST_WANTS + 1),
            (),
        ):
            rude = Peer()
            await room.answer(rude, WantObjects(0, current.name, wants))
            assert rude.refused == "it asked for what is not in the release"
            assert not rude.sent

    run(project, work)


def test_another_release_is_not_there(project: Path) -> None:
    async def work(room: Room) -> None:
        peer = Peer()
        message, data = await room.answer(peer, WantManifest("0" * 64))
        assert (message.total, data) == (0, None)
        message, data = await room.answer(peer, WantObjects(3, "0" * 64, ((b"", 0, 1),)))
        assert (message.seq, message.error) == (3, "the head has another release by now")

    run(project, work)


def test_a_content_that_was_deleted_is_said_and_ends_nothing(project: Path) -> None:
    async def work(room: Room) -> None:
        current = room.releases.current
        assert current is not None
        peer = Peer()
        _message, data = await room.answer(peer, WantManifest(current.name))
        (big,) = (e for e in read(data, current.name).entries if e.path == "big")
        for path in (project / ".runner/p/files/objects").rglob(big.content):
            path.unlink()
        wants = ((bytes.fromhex(big.content), 0, 10),)
        message, data = await room.answer(peer, WantObjects(0, current.name, wants))
        assert "the head lacks a file that it had" in message.error
        assert data is None

    run(project, work)


def test_the_next_head_finds_the_same_release(project: Path) -> None:
    names = []

    async def work(room: Room) -> None:
        names.append(room.releases.current)

    run(project, work)
    run(project, work)
    assert names[0] == names[1]


def test_what_does_not_travel_for_no_rule_is_told(project: Path) -> None:
    for number in range(5):
        (project / f"link{number}").symlink_to("/etc")

    async def work(_room: Room) -> None:
        pass

    warned = run(project, work).warned
    assert [text for text, _hint in warned] == [
        "'link0' does not travel: it is a link that points to an absolute path",
        "'link1' does not travel: it is a link that points to an absolute path",
        "'link2' does not travel: it is a link that points to an absolute path",
        "2 more files do not travel",
    ]
    assert warned[0][1] == (
        'workers run without it; ignore = ["/link0"] in [sync] says so for good'
    )
    assert warned[-1][1] == "all of them, and why: runner files"


def test_a_project_that_cannot_be_read_ends_the_run_in_words(project: Path) -> None:
    kit.write(project, {"pipeline.toml": f'{FILE}[sync]\nmax_file = "1MiB"\n'})

    async def work(room: Room) -> None:
        assert room.releases.current is None
        (error,) = room.errors
        assert error.message.startswith("big is ")
        assert 'ignore = ["big"]' in error.hint

    run(project, work)


def test_a_host_is_judged_by_its_python_and_its_packages(project: Path) -> None:
    kit.write(project, {"requirements.txt": "click>=8\nno-such-package-at-all\n"})

    async def work(room: Room) -> None:
        releases = room.releases
        current = releases.current
        assert current is not None
        here = Ready(current.name, (), "2.7.18", {"click": ""})
        python, packages = releases.check(here)
        assert "it has Python 2.7.18" in python
        assert packages.startswith("it has no click: pip install click==")
        assert releases.check(Ready(current.name, ("the disk is full",))) == ("the disk is full",)

    run(project, work)


def test_a_pipeline_without_a_file_runs_where_it_is(project: Path) -> None:
    async def all_of_it() -> None:
        room = Room(project)
        (project / "pipeline.toml").unlink()
        await room.open()
        current = room.releases.current
        assert current is not None
        assert (current.name, current.root) == ("", project)
        room.releases.close()

    asyncio.run(all_of_it())
    assert not (project / ".runner").exists()
