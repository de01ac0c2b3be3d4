"""A release comes to a host whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sync import kit

if TYPE_CHECKING:
    from tests.sync.kit import Answer

BIG = os.urandom(3 * 1024**2 + 17)
FILES = {
    "app/__init__.py": b"",
    "app/code.py": b"print('hello')\n",
    "data/big.bin": BIG,
    "data/same.bin": BIG,
    "name with spaces and \xe9.txt": b"x",
}


@pytest.fixture
def head(tmp_path: Path) -> kit.Head:
    project = tmp_path / "project"
    kit.write(project, FILES)
    (project / "run.sh").write_text("#!/bin/sh\n")
    (project / "run.sh").chmod(0o755)
    (project / "empty").mkdir()
    (project / "app/link.py").symlink_to("code.py")
    serving = kit.store(tmp_path / "head")
    return kit.Head(serving, kit.scan(project, serving))


def test_a_host_gets_every_file_link_and_folder_as_it_is(tmp_path: Path, head: kit.Head) -> None:
    host = kit.host(tmp_path / "host")
    root = host.fetch(head)
    assert root is not None
    assert kit.tree(root) == kit.tree(tmp_path / "project")
    assert os.access(root / "run.sh", os.X_OK)
    assert not (root / "app/code.py").stat().st_mode & 0o111
    ready = host.ready[-1][0]
    assert (ready.problems, ready.files) == ((), 6)


def test_a_content_that_is_there_twice_travels_once(tmp_path: Path, head: kit.Head) -> None:
    kit.host(tmp_path / "host").fetch(head)
    assert head.served < len(BIG) + 100


def test_zeros_are_holes_in_the_cache_and_in_the_release(tmp_path: Path) -> None:
    size = 24 * 2**20
    parts = [b"begin", bytes(size), b"middle", bytes(size - 3), b"", b"end", bytes(size)]
    project = tmp_path / "images"
    kit.write(project, {"disk.img": b"".join(parts), "zeros": bytes(size), "few": bytes(3)})
    serving = kit.store(tmp_path / "serving")
    root = kit.host(tmp_path / "host").fetch(kit.Head(serving, kit.scan(project, serving)))
    assert root is not None
    assert (root / "disk.img").read_bytes() == b"".join(parts)
    assert kit.tree(root) == kit.tree(project)
    for path in [*(tmp_path / "serving").rglob("*"), *(tmp_path / "host").rglob("*")]:
        assert path.lstat().st_blocks * 512 <= 2**20, path


def test_nothing_is_asked_for_a_release_that_is_here(tmp_path: Path, head: kit.Head) -> None:
    first = kit.host(tmp_path / "host")
    root = first.fetch(head)
    first.fetcher.close()
    again = kit.host(tmp_path / "host")
    assert again.fetch(head, most=0) == root
    assert not again.asked


def test_only_what_changed_travels(tmp_path: Path, head: kit.Head) -> None:
    host = kit.host(tmp_path / "host")
    before = host.fetch(head)
    kit.write(tmp_path / "project", {"app/code.py": "print('other')\n"})
    newer = kit.Head(head.store, kit.scan(tmp_path / "project", head.store))
    root = host.fetch(newer)
    assert root not in (None, before)
    assert newer.served == len("print('other')\n")


def test_a_release_cannot_be_written_to(tmp_path: Path, head: kit.Head) -> None:
    root = kit.host(tmp_path / "host").fetch(head)
    assert root is not None
    paths = [root, *root.rglob("*")]
    assert not [p for p in paths if not p.is_symlink() and p.stat().st_mode & 0o222]


@pytest.mark.parametrize("answers", range(1, 9))
def test_a_cut_costs_no_more_than_what_was_on_its_way(
    tmp_path: Path, head: kit.Head, answers: int
) -> None:
    host = kit.host(tmp_path / "host")
    host.fetch(head, most=answers)
    before = head.served
    host.asked.clear()
    host.fetcher.cut()
    assert host.fetch(head) is not None
    assert kit.tree(host.ready[-1][1] or Path()) == kit.tree(tmp_path / "project")
    # What was whole, and what a part held, did not come again.
    assert head.served <= len(BIG) + len("print('hello')\n") + len("#!/bin/sh\n") + 1
    assert before <= head.served


def test_an_agent_that_died_left_its_part_to_the_next(tmp_path: Path, head: kit.Head) -> None:
    dead = kit.host(tmp_path / "host")
    dead.fetch(head, most=6)
    dead.fetcher.cut()  # as the end of its process does
    part = sum(path.stat().st_size for path in dead.store.partial.glob("[0-9a-f]*"))
    assert part > 0
    before = head.served
    assert kit.host(tmp_path / "host").fetch(head) is not None
    assert head.served - before <= len(BIG) - part + 100


def test_what_comes_damaged_is_asked_for_again_and_then_refused(
    tmp_path: Path, head: kit.Head
) -> None:
    def flip(answer: Answer) -> Answer:
        message, data = answer
        return (message, bytes([data[0] ^ 1]) + data[1:]) if hasattr(message, "seq") else answer

    head.spoil = flip
    host = kit.host(tmp_path / "host")
    assert host.fetch(head) is None
    assert "changed on its way" in host.ready[-1][0].problems[0]
    assert not list(host.store.releases.iterdir())
    head.spoil = lambda answer: answer
    host.waiting.pop()()  # it tries again by itself
    while host.asked:
        host.fetcher.take_in(*head.answer(host.asked.popleft()))
    assert kit.tree(host.ready[-1][1] or Path()) == kit.tree(tmp_path / "project")


def test_one_damaged_piece_costs_a_repetition_and_nothing_else(
    tmp_path: Path, head: kit.Head
) -> None:
    spoiled: list[int] = []

    def flip(answer: Answer) -> Answer:
        message, data = answer
        if len(data) > 20_000 and hasattr(message, "seq") and not spoiled:
            spoiled.append(len(data))
            return message, data[:-1] + bytes([data[-1] ^ 1])
        return answer

    head.spoil = flip
    host = kit.host(tmp_path / "host")
    assert host.fetch(head) is not None
    assert spoiled
    assert kit.tree(host.ready[-1][1] or Path()) == kit.tree(tmp_path / "project")


def test_two_agents_of_one_machine_fetch_once(tmp_path: Path, head: kit.Head) -> None:
    first, second = kit.host(tmp_path / "host"), kit.host(tmp_path / "host")
    first.fetch(head, most=3)
    assert second.fetch(head) is None
    assert not second.asked  # it waits for the first
    while first.asked:
        first.fetcher.take_in(*head.answer(first.asked.popleft()))
    second.waiting.pop()()
    assert second.ready[-1][1] == first.ready[-1][1] is not None
    assert not second.asked


def test_a_manifest_in_pieces_is_read_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: kit.Head
) -> None:
    monkeypatch.setattr(kit, "PIECE", 100)
    assert kit.host(tmp_path / "host").fetch(head) is not None


def test_a_cache_emptied_under_a_fetch_is_filled_again(tmp_path: Path, head: kit.Head) -> None:
    host = kit.host(tmp_path / "host")
    host.fetch(head, most=4)
    for path in host.store.objects.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    while host.asked:
        host.fetcher.take_in(*head.answer(host.asked.popleft()))
    assert kit.tree(host.ready[-1][1] or Path()) == kit.tree(tmp_path / "project")
