"""A host whose disk is full says so, keeps what it has, and goes on once there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sync import kit

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024**2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_waited_for(tmp_path: Path, small: Path) -> None:
    project = tmp_path / "project"
    kit.write(project, {f"f{n}": os.urandom(MIB) for n in range(3)})
    serving = kit.store(tmp_path / "head")
    head = kit.Head(serving, kit.scan(project, serving))
    host = kit.host(small)
    (small / "ballast").write_bytes(os.urandom(6 * MIB))
    assert host.fetch(head) is None
    ready = host.ready[-1][0]
    assert "No space left on device: free some space there, or move it" in ready.problems[0]
    assert not host.store.current()
    (small / "ballast").unlink()
    host.waiting.pop()()
    while host.asked:
        host.fetcher.take_in(*head.answer(host.asked.popleft()))
    assert host.ready[-1][0].problems == ()
    assert kit.tree(host.ready[-1][1] or Path()) == kit.tree(project)
    host.fetcher.close()


def test_a_release_that_runs_is_not_touched_by_one_that_does_not_fit(
    tmp_path: Path, small: Path
) -> None:
    project = tmp_path / "project"
    kit.write(project, {"a": b"1"})
    serving = kit.store(tmp_path / "head")
    host = kit.host(small)
    before = host.fetch(kit.Head(serving, kit.scan(project, serving)))
    kit.write(project, {f"f{n}": os.urandom(MIB) for n in range(9)})
    assert host.fetch(kit.Head(serving, kit.scan(project, serving))) is None
    assert host.ready[-1][0].problems
    assert before is not None
    assert kit.tree(before) == {"a": b"1"}
    assert host.store.current() == before.name
    host.fetcher.close()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EDQUOT])
def test_any_trouble_of_the_disk_is_told_with_the_setting_that_moves_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    project = tmp_path / "project"
    kit.write(project, {"a": b"1"})
    serving = kit.store(tmp_path / "head")
    head = kit.Head(serving, kit.scan(project, serving))

    def fails(_fd: int, _data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pipeline_runner.sync.objects.write_all", fails)
    host = kit.host(tmp_path / "host")
    assert host.fetch(head) is None
    (problem,) = host.ready[-1][0].problems
    assert os.strerror(number) in problem
    assert "XDG_CACHE_HOME" in problem


def test_a_cache_on_a_network_file_system_is_refused_with_the_setting_that_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    kit.write(project, {"a": b"1"})
    serving = kit.store(tmp_path / "head")
    head = kit.Head(serving, kit.scan(project, serving))
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"33 22 0:43 / {tmp_path / 'host'} rw - nfs4 there:/x rw\n")
    monkeypatch.setattr("pipeline_runner.filesystem._MOUNTS", mounts)
    host = kit.host(tmp_path / "host")
    assert host.fetch(head) is None
    (problem,) = host.ready[-1][0].problems
    assert "is on a network file system (nfs4)" in problem
    assert "XDG_CACHE_HOME on a host that joined" in problem
    assert not (tmp_path / "host/cache").exists()
