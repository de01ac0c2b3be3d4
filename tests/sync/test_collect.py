"""What is kept, what goes, and what user code wrote is moved and never lost."""

from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.sync.cache_dirs import machine, output_of, store_of
from pipeline_runner.sync.checkout import check_out, hand_back
from pipeline_runner.sync.clearing import clear, is_used, joined
from pipeline_runner.sync.collect import collect
from pipeline_runner.sync.local_writes import told
from tests.sync import kit
from tests.sync.test_apply import checked_out, manifest

if TYPE_CHECKING:
    from pipeline_runner.sync.manifest import Manifest
    from pipeline_runner.sync.store import Lease, Store

DAY_S = 24 * 3600


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return kit.store(tmp_path / "store")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def release(store: Store, number: int) -> Manifest:
    return manifest(store, {"a": b"%d" % number, "sub/same": b"same"})


def lease(store: Store, number: int, output: Path) -> Lease:
    return check_out(store, release(store, number), output)[0]


def write(path: Path, data: str) -> None:
    """Write as code that means to does, root or not."""
    path.parent.chmod(0o700)
    if path.exists():
        path.chmod(0o600)
    path.write_text(data)


def test_the_current_tree_and_two_before_it_are_kept(store: Store, output: Path) -> None:
    for number in range(6):
        checked_out(store, release(store, number))
    collect(store, output, time.time())
    assert [name.partition("-")[0] for name in store.names()] == ["4", "5", "6"]


def test_a_tree_in_use_is_kept_however_old(store: Store, output: Path) -> None:
    used = lease(store, 0, output)
    for number in range(1, 6):
        checked_out(store, release(store, number))
    collect(store, output, time.time())
    assert used.root.is_dir()
    assert len(store.names()) == 4
    assert hand_back(store, used, output) == []
    collect(store, output, time.time())
    assert not used.root.exists()


def test_going_back_to_an_older_release_makes_it_current_and_keeps_it(
    store: Store, output: Path
) -> None:
    for number in range(4):
        checked_out(store, release(store, number))
    first = checked_out(store, release(store, 0))
    collect(store, output, time.time())
    assert store.current() == first.name
    assert len(store.names()) == 3


def test_a_content_is_kept_for_a_day_after_its_last_tree(store: Store, output: Path) -> None:
    for number in range(5):
        checked_out(store, release(store, number))
    content = sha256(b"0").hexdigest()
    now = time.time()
    collect(store, output, now)
    assert store.objects.has(content, 1)
    collect(store, output, now + DAY_S - 60)
    assert store.objects.has(content, 1)
    collect(store, output, now + DAY_S + 60)
    assert not store.objects.has(content, 1)
    assert store.objects.has(sha256(b"same").hexdigest(), 4)
    assert kit.tree(checked_out(store, release(store, 4)))


def test_what_was_written_into_a_tree_is_moved_when_it_is_handed_back(
    store: Store, output: Path
) -> None:
    used = lease(store, 0, output)
    write(used.root / "new.txt", "new")
    write(used.root / "sub/deep.txt", "deep")
    write(used.root / "a", "changed")
    (used.root / "__pycache__").mkdir()
    (used.root / "__pycache__/x.pyc").touch()
    moved = hand_back(store, used, output)
    assert {path.relative_to(output).as_posix() for path in moved} == {
        "new.txt",
        "sub/deep.txt",
        "a",
    }
    assert kit.tree(output) == {"a": b"changed", "new.txt": b"new", "sub/deep.txt": b"deep"}
    assert kit.tree(checked_out(store, release(store, 0))) == {"a": b"0", "sub/same": b"same"}


def test_what_is_at_the_output_already_stays(store: Store, output: Path) -> None:
    kit.write(output, {"out.txt": "mine", "out-2.txt": "mine too", "sub": "a file"})
    used = lease(store, 0, output)
    write(used.root / "out.txt", "theirs")
    write(used.root / "sub/deep.txt", "theirs")
    hand_back(store, used, output)
    assert kit.tree(output) == {
        "out.txt": b"mine",
        "out-2.txt": b"mine too",
        "out-3.txt": b"theirs",
        "sub": b"a file",
        "sub-deep.txt": b"theirs",
    }


def test_a_stray_link_is_moved_as_a_link(store: Store, output: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big/file").touch()
    used = lease(store, 0, output)
    used.root.chmod(0o700)
    (used.root / "link").symlink_to(tmp_path / "big")
    hand_back(store, used, output)
    assert (output / "link").is_symlink()
    assert (tmp_path / "big/file").exists()


def test_nothing_is_moved_from_under_another_worker(store: Store, output: Path) -> None:
    mine, theirs = lease(store, 0, output), lease(store, 0, output)
    write(mine.root / "log", "half")
    assert hand_back(store, mine, output) == []
    assert (theirs.root / "log").read_text() == "half"
    assert hand_back(store, theirs, output) == [output / "log"]


def test_what_a_killed_run_wrote_is_moved_by_the_next(store: Store, output: Path) -> None:
    dead = lease(store, 0, output)
    write(dead.root / "log", "all")
    os.close(dead.fd)  # as its end does
    _next, moved = check_out(store, release(store, 0), output)
    assert moved == [output / "log"]


def test_what_cannot_be_moved_keeps_its_tree(
    store: Store, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = lease(store, 0, output)
    write(used.root / "log", "all")
    used.end()
    for number in range(1, 5):
        checked_out(store, release(store, number))

    def full(_source: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline_runner.sync.local_writes.shutil.move", full)
    with pytest.raises(OSError, match="No space"):
        collect(store, output, time.time())
    monkeypatch.undo()
    assert (used.root / "log").read_text() == "all"
    assert collect(store, output, time.time()) == [output / "log"]


def test_what_was_moved_is_told_with_the_cure(output: Path) -> None:
    text, hint = told([output / f"f{n}" for n in range(5)], output)
    assert text.startswith(f"5 files were written where the code lies, and moved to {output}: f0,")
    assert text.endswith("and 2 more")
    assert "context().output" in hint


def test_what_a_maker_that_was_killed_left_goes_and_what_one_writes_now_stays(
    store: Store,
) -> None:
    kit.write(store.staging, {"tree/a": "1", "b": "2"})
    with store.objects.draft() as draft:
        draft.write(b"now")
        kit.store(store.root)
        assert [path.read_bytes() for path in store.staging.iterdir()] == [b"now"]
        draft.keep(sha256(b"now").hexdigest())
    assert store.objects.has(sha256(b"now").hexdigest(), 3)


def test_a_cache_is_cleared_unless_it_is_used(store: Store, output: Path) -> None:
    used = lease(store, 0, output)
    write(used.root / "log", "all")
    checked_out(store, release(store, 1))
    assert is_used(store.root)
    assert clear(store.root, output) == []
    assert (used.root / "log").exists()
    used.end()
    assert not is_used(store.root)
    assert clear(store.root, output) == [output / "log"]
    assert not store.root.exists()


def test_the_caches_of_this_machine_are_found_by_their_pipelines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mine = store_of("thumbs-2", "0123456789abcdef")
    mine.mkdir(parents=True)
    (mine.parent / "thumbs-0123456789abcdef-00000000").mkdir()  # another machine's, one home
    (mine.parent / "something else").mkdir()
    assert joined() == {mine: "thumbs-2"}
    assert mine.name.endswith(machine())


def test_folders_of_a_host_follow_the_users_settings() -> None:
    assert output_of("p", {"XDG_DATA_HOME": "/data"}) == Path("/data/runner/p")
    assert output_of("p", {"XDG_DATA_HOME": "data"}) == Path.home() / ".local/share/runner/p"
    assert store_of("p", "00", {}).parent == Path.home() / ".cache/runner"
    assert ".." not in store_of("../../etc", "00", {}).parts
