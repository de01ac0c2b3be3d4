"""A project is read as it is, whatever happens to it meanwhile."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.sync import scan as scanning
from pipeline_runner.sync.ignore import rules
from pipeline_runner.sync.scan import Scanner, TooLarge
from pipeline_runner.sync.store import Halted
from tests.sync import kit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.sync.store import Store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    kit.write(folder, {"app.py": "x = 1\n", "empty": ""})
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return kit.store(tmp_path / "store")


def left(scan: scanning.Scan) -> dict[str, str]:
    return {each.path: each.why for each in scan.left}


def entries(scan: scanning.Scan) -> dict[str, str]:
    return {entry.path: entry.kind for entry in scan.manifest.entries}


def age(folder: Path) -> None:
    """Have every file look as if it had been written long ago."""
    for path in folder.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at files as if an hour had gone by since they were written."""
    now = scanning.time.time_ns()
    monkeypatch.setattr(scanning.time, "time_ns", lambda: now + 3600 * 10**9)


def test_a_file_that_looks_the_same_is_not_read_again(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch)
    assert kit.scan(project, store).read == 2
    again = kit.scan(project, store)
    assert again.read == 0
    (project / "app.py").write_text("x = 2\n")
    newer = kit.scan(project, store)
    assert newer.read == 1
    assert newer.manifest.release != again.manifest.release


def test_a_file_that_was_written_just_now_is_read_again(project: Path, store: Store) -> None:
    """A second write within the clock's grain would look the same."""
    kit.scan(project, store)
    assert kit.scan(project, store).read == 2


def test_a_file_dated_in_the_future_is_read_once(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = scanning.time.time() + 10 * 365 * 86400
    os.utime(project / "app.py", (ahead, ahead))
    later(monkeypatch)
    assert kit.scan(project, store).read == 2
    assert kit.scan(project, store).read == 0
    (project / "app.py").write_text("x = 2\n")
    os.utime(project / "app.py", (ahead, ahead))
    assert kit.scan(project, store).read == 1


def test_a_sparse_file_of_a_gigabyte_is_kept_sparse(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    with (folder / "disk.img").open("wb") as file:
        file.truncate(2**30)
        file.seek(2**29 + 5)
        file.write(b"a partition")
    (content,) = kit.scan(folder, store).manifest.objects
    kept = store.objects.path(content)
    facts = kept.stat()
    assert facts.st_size == 2**30
    assert facts.st_blocks * 512 <= 2**20
    with kept.open("rb") as file:
        file.seek(2**29)
        assert file.read(32) == bytes(5) + b"a partition" + bytes(16)


def test_an_edit_of_the_same_size_with_its_time_set_back_is_seen(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(project)
    later(monkeypatch)
    before = kit.scan(project, store)
    (project / "app.py").write_text("x = 2\n")
    age(project)
    assert kit.scan(project, store).manifest.release != before.manifest.release


def test_a_content_that_left_the_store_is_read_again(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch)
    scan = kit.scan(project, store)
    (content,) = scan.manifest.objects
    store.objects.path(content).unlink()
    assert kit.scan(project, store).read == 1
    assert store.objects.has(content, 6)


def test_an_index_that_is_no_use_costs_a_reading(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch)
    scan = kit.scan(project, store)
    for data in (b"", b"\x00" * 100, b"\x93\xa1a"):
        (store.root / "index").write_bytes(data)
        again = kit.scan(project, store)
        assert (again.read, again.manifest.release) == (2, scan.manifest.release)


class Rewriter:
    """Writes to a file while it is read: before each of its first ``times`` readings ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, times: int) -> None:
        self.times = times
        real = scanning._whole

        def whole(fd: int, most: int) -> bytes:
            data = real(fd, most)
            if self.times and os.fstat(fd).st_ino == path.stat().st_ino and data:
                self.times -= 1
                path.write_bytes(b"%d" % self.times * len(data))
            return data

        monkeypatch.setattr(scanning, "_whole", whole)


def test_a_file_that_is_rewritten_while_it_is_read_is_read_again(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Rewriter(monkeypatch, project / "app.py", 2)
    scan = kit.scan(project, store)
    assert not scan.left
    (content,) = scan.manifest.objects
    assert store.objects.path(content).read_bytes() == b"000000"


def test_a_file_that_never_stands_still_stays_as_it_was_and_is_named(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        later(patch)
        before = kit.scan(project, store)
    Rewriter(monkeypatch, project / "app.py", 99)
    (project / "app.py").write_text("x = 3\n")
    scan = kit.scan(project, store)
    assert left(scan) == {"app.py": "it changed while it was read, three times over"}
    assert scan.manifest.release == before.manifest.release


def test_a_new_file_that_never_stands_still_is_left_out_and_named(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Rewriter(monkeypatch, project / "app.py", 99)
    scan = kit.scan(project, store)
    assert entries(scan) == {"empty": "file"}
    assert "app.py" in left(scan)


def test_a_large_file_that_grows_while_it_is_read_is_not_torn(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = project / "big"
    big.write_bytes(b"a" * (3 * scanning.BLOCK))
    grown = []

    def go_on() -> bool:
        if big.stat().st_size == 3 * scanning.BLOCK and reading():
            grown.append(big.write_bytes(b"b" * (3 * scanning.BLOCK + 5)))
        return True

    def reading() -> bool:
        return any(store.staging.iterdir())

    scan = kit.scan(project, store, go_on=go_on)
    assert grown
    (size,) = [size for size in scan.manifest.objects.values() if size > 100]
    content = next(c for c, s in scan.manifest.objects.items() if s == size)
    assert store.objects.path(content).read_bytes() == b"b" * (3 * scanning.BLOCK + 5)
    assert not any(store.staging.iterdir())


def test_what_cannot_be_read_is_left_out_and_named(project: Path, store: Store) -> None:
    os.mkfifo(project / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(project / "sock"))
        kit.write(project, {"locked": "secret"})
        (project / "locked").chmod(0)
        (project / "shut").mkdir(mode=0)
        scan = kit.scan(project, store)
    (project / "shut").chmod(0o700)
    reasons = left(scan)
    assert reasons.pop("fifo") == "it is a FIFO"
    assert reasons.pop("sock") == "it is a socket"
    if os.geteuid():  # root reads everything
        assert reasons.pop("locked") == "it cannot be read: Permission denied"
        assert reasons.pop("shut") == "it cannot be read: Permission denied"
        assert set(entries(scan)) == {"app.py", "empty"}
    assert not reasons


def test_a_name_that_is_not_unicode_is_left_out_and_named(project: Path, store: Store) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (project / name).touch()
    except OSError:
        pytest.skip("this file system has Unicode names alone")
    scan = kit.scan(project, store)
    assert left(scan) == {name: "its path is not Unicode"}
    assert set(entries(scan)) == {"app.py", "empty"}


def test_links_travel_if_they_stay_inside(project: Path, store: Store, tmp_path: Path) -> None:
    kit.write(project, {"sub/a": "a"})
    (tmp_path / "outside").write_text("secret")
    (project / "sub/fine").symlink_to("../app.py")
    (project / "folder").symlink_to("sub")
    (project / "dangling").symlink_to("nothing")
    (project / "out").symlink_to("../outside")
    (project / "absolute").symlink_to(project / "app.py")
    scan = kit.scan(project, store)
    links = {path for path, kind in entries(scan).items() if kind == "link"}
    assert links == {"sub/fine", "folder", "dangling"}
    assert left(scan) == {
        "out": "it is a link that points out of the project",
        "absolute": "it is a link that points to an absolute path",
    }


@pytest.mark.parametrize(("swapped", "before"), [("sub/b", 4), ("sub", 2)])
def test_a_path_that_becomes_a_link_while_it_is_read_leads_nowhere(
    project: Path, store: Store, tmp_path: Path, swapped: str, before: int
) -> None:
    """Somebody else may write to the project, and wants what only we may read."""
    kit.write(tmp_path, {"secret/a": "secret", "secret/b": "secret"})
    kit.write(project, {"sub/a": "a", "sub/b": "b"})
    files = []

    def go_on() -> bool:
        files.append(1)
        if len(files) == before:  # it was looked at, and is to be opened
            (project / swapped).rename(project / "moved")
            (project / swapped).symlink_to(tmp_path / swapped.replace("sub", "secret"))
        return True

    scan = kit.scan(project, store, go_on=go_on)
    kept = {path.read_bytes() for path in store.objects.folder.rglob("*") if path.is_file()}
    assert b"secret" not in kept
    assert b"x = 1\n" in kept
    assert set(entries(scan)) <= {
        "app.py",
        "empty",
        "moved",
        "sub/a",
        "sub/b",
        "moved/a",
        "moved/b",
    }


@pytest.mark.parametrize("to", ["folder", "nothing", "fifo"])
def test_a_file_may_become_something_else_while_it_is_read(
    project: Path, store: Store, to: str
) -> None:
    def go_on() -> bool:
        if (project / "app.py").is_file():
            (project / "app.py").unlink()
            make: dict[str, Callable[[Path], object]] = {"folder": Path.mkdir, "fifo": os.mkfifo}
            make.get(to, lambda _path: None)(project / "app.py")
        return True

    assert entries(kit.scan(project, store, go_on=go_on)) == {"empty": "file"}


def test_a_file_that_holds_the_pipelines_key_stays_where_it_is(project: Path, store: Store) -> None:
    kit.write(project, {"notes.txt": "the key is 5ec2e7\n"})
    scan = kit.scan(project, store, secrets=[b"5ec2e7"])
    assert left(scan) == {"notes.txt": "it holds a key of this pipeline"}
    assert "notes.txt" not in entries(scan)
    kept = [path.read_bytes() for path in store.objects.folder.rglob("*") if path.is_file()]
    assert not [data for data in kept if b"5ec2e7" in data]


def test_files_that_are_too_large_are_named_with_the_cure(project: Path, store: Store) -> None:
    kit.write(project, {"data/a": b"x" * 2000, "data/b": b"x" * 3000})
    scanner = Scanner(project, store, rules(), 1000)
    with pytest.raises(TooLarge) as raised:
        scanner.scan()
    assert raised.value.message == (
        "data/b is 2.9 KiB, larger than max_file allows (1000 B), and 1 more is"
    )
    assert 'ignore = ["data/b"]' in raised.value.hint


def test_a_scan_can_be_given_up(project: Path, store: Store) -> None:
    with pytest.raises(Halted):
        kit.scan(project, store, go_on=lambda: False)
    assert not any(store.staging.iterdir())
