"""A tree is there whole or not at all, and nothing is ever written outside of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.errors import RunnerError
from pipeline_runner.sync import apply
from pipeline_runner.sync.apply import MissingObject
from pipeline_runner.sync.checkout import check_out, hand_back
from pipeline_runner.sync.collect import collect
from pipeline_runner.sync.manifest import Entry, Manifest
from pipeline_runner.sync.store import Halted
from tests.sync import kit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.sync.store import Store

ROOT = Path(__file__).parents[2]


def manifest(store: Store, files: dict[str, bytes]) -> Manifest:
    entries = []
    for path, data in files.items():
        content = sha256(data).hexdigest()
        store.objects.put(data, content)
        entries.append(Entry(path, "file", len(data), content))
    return Manifest(tuple(entries))


def checked_out(store: Store, of: Manifest) -> Path:
    lease, _moved = check_out(store, of, store.root / "output")
    lease.end()
    return lease.root


def test_a_file_becomes_a_folder_and_a_folder_a_file(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    before = manifest(store, {"a": b"1", "b/c": b"2"})
    after = manifest(store, {"a/x": b"1", "b": b"2"})
    for wanted, tree in (
        (before, {"a": b"1", "b/c": b"2"}),
        (after, {"a/x": b"1", "b": b"2"}),
        (before, {"a": b"1", "b/c": b"2"}),
    ):
        assert kit.tree(checked_out(store, wanted)) == tree
        assert store.current() == checked_out(store, wanted).name


def test_a_host_that_takes_names_for_one_refuses_twins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kit.store(tmp_path)
    twins = manifest(store, {"Readme": b"1", "README": b"2", "a/x": b"1", "A/y": b"2"})
    assert kit.tree(checked_out(store, twins))  # where case counts, they are two
    real = Path.exists
    monkeypatch.setattr(
        Path, "exists", lambda path: path.suffix == ".cASE" or real(path)
    )  # as a Mac's disk has it
    other = manifest(store, {"Readme": b"1", "README": b"3"})
    with pytest.raises(RunnerError, match="README and Readme") as raised:
        checked_out(store, other)
    assert raised.value.hint == "rename one of each pair in the project"
    assert not store.find(other.release)
    assert checked_out(store, manifest(store, {"Readme": b"1"}))


def test_a_link_in_the_way_is_not_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody swaps a folder of the tree that is being made for a link to elsewhere."""
    store = kit.store(tmp_path / "store")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    real = os.mkdir

    def swapped(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if path == "sub":
            os.symlink(elsewhere, path, dir_fd=dir_fd)
        else:
            real(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(apply.os, "mkdir", swapped)
    with pytest.raises(OSError):
        checked_out(store, manifest(store, {"sub/evil": b"1"}))
    assert not list(elsewhere.iterdir())
    assert not store.current()


def test_a_file_that_is_in_the_way_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kit.store(tmp_path / "store")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    real = apply._Tree._copy

    def planted(tree: object, entry: Entry, name: str, folder: int) -> None:
        os.symlink(victim, name, dir_fd=folder)
        real(tree, entry, name, folder)  # type: ignore[arg-type]

    monkeypatch.setattr(apply._Tree, "_copy", planted)
    monkeypatch.setattr(apply._Tree, "_linked", lambda *_: False)
    with pytest.raises(FileExistsError):
        checked_out(store, manifest(store, {"evil": b"1"}))
    assert victim.read_text() == "mine"


def test_a_content_that_is_gone_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    wanted = manifest(store, {"a": b"1", "b": b"2"})
    store.objects.path(sha256(b"2").hexdigest()).unlink()
    with pytest.raises(MissingObject, match="b is not among"):
        checked_out(store, wanted)
    assert not any(store.staging.iterdir())
    assert not store.names()


@pytest.mark.skipif(os.geteuid() == 0, reason="root's files are copies")
def test_files_share_their_bytes_with_the_objects(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    root = checked_out(store, manifest(store, {"a": b"1"}))
    assert (root / "a").stat().st_ino == store.objects.path(sha256(b"1").hexdigest()).stat().st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write to what nobody may write to")
def test_what_root_does_to_a_file_does_not_reach_the_object(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    root = checked_out(store, manifest(store, {"a": b"1"}))
    (root / "a").write_bytes(b"spoiled")
    assert store.objects.path(sha256(b"1").hexdigest()).read_bytes() == b"1"


def test_an_object_that_was_written_to_is_one_no_more(tmp_path: Path) -> None:
    """Its owner may do so, by way of a release that has it as a link."""
    store = kit.store(tmp_path)
    wanted = manifest(store, {"a": b"whole"})
    content = sha256(b"whole").hexdigest()
    store.objects.path(content).chmod(0o600)
    store.objects.path(content).write_bytes(b"wrong")
    assert not store.objects.has(content, 5)
    assert apply.missing(store, wanted) == {content: 5}
    store.objects.put(b"whole", content)
    assert kit.tree(checked_out(store, wanted)) == {"a": b"whole"}


def test_a_tree_that_lost_a_file_is_made_anew(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    wanted = manifest(store, {"a": b"1", "b": b"2"})
    root = checked_out(store, wanted)
    root.chmod(0o700)
    (root / "b").unlink()
    assert kit.tree(checked_out(store, wanted)) == {"a": b"1", "b": b"2"}


def test_a_tree_in_use_that_lost_a_file_stays_and_another_is_made(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    wanted = manifest(store, {"a": b"1", "b": b"2"})
    lease, _moved = check_out(store, wanted, tmp_path / "output")
    lease.root.chmod(0o700)
    (lease.root / "b").unlink()
    other = checked_out(store, wanted)
    assert other != lease.root
    assert lease.root.is_dir()
    assert kit.tree(other) == {"a": b"1", "b": b"2"}
    assert hand_back(store, lease, tmp_path / "output") == []


def test_after_a_restart_of_the_machine_every_content_is_looked_at_again(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    wanted = manifest(store, {"a": b"whole", "b": b"empty"})
    checked_out(store, wanted)
    lost = store.objects.path(sha256(b"empty").hexdigest())
    lost.chmod(0o600)
    lost.write_bytes(b"\0\0\0\0\0")  # of the right size: the power went before its bytes were out
    (tmp_path / "boot").write_text("an earlier one\n")
    again = kit.store(tmp_path)
    assert not again.find(wanted.release)
    assert again.objects.has(sha256(b"whole").hexdigest(), 5)
    assert not again.objects.has(sha256(b"empty").hexdigest(), 5)
    with pytest.raises(MissingObject):
        checked_out(again, wanted)
    again.objects.put(b"empty", sha256(b"empty").hexdigest())
    assert kit.tree(checked_out(again, wanted)) == {"a": b"whole", "b": b"empty"}


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline_runner.sync.manifest import read
from pipeline_runner.sync.store import Store
from pipeline_runner.sync.checkout import check_out
from pipeline_runner.sync.collect import collect

root, release, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = Store(root)
store.open()
manifest = read((root / release).read_bytes(), release)
steps = 0

def step(event, arguments):
    global steps
    if event.startswith(("os.", "open", "shutil.")):
        steps += 1
        if steps == at:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
lease, _moved = check_out(store, manifest, root / "output")
collect(store, root / "output", 4e9, keep=0, keep_s=0.0)
print(steps)
"""


def test_a_kill_at_any_point_leaves_a_whole_tree_current(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A real process is killed at 24 points of making a tree and of tidying up after it."""
    store = kit.store(tmp_path)
    files = {f"d{n % 5}/f{n}": b"%d" % n for n in range(30)}
    old = manifest(store, {**files, "old": b"old"})
    new = manifest(store, {**files, "d0/f0": b"new", "new/one": b"1"})
    for each in (old, new):
        (tmp_path / each.release).write_bytes(each.data)
    trees = {each.release: expected(each, store) for each in (old, new)}

    def run(wanted: Manifest, at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), wanted.release, str(at)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=30,
        )

    def begin() -> None:
        """Have the old tree current, the new one not there, and all contents."""
        for data in (*files.values(), b"old", b"new", b"1"):
            store.objects.put(data, sha256(data).hexdigest())
        checked_out(store, old)
        collect(store, tmp_path / "output", 0.0, keep=0)

    begin()
    steps = int(run(new, 0).stdout)
    assert steps > 100
    killed = 0
    for at in range(1, steps, max(1, steps // 24)):
        begin()
        assert store.names() == [store.current()]
        ended = run(new, at)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        killed += 1
        # As the next one finds it: what is current is whole, and is one of the two.
        name = store.current()
        current = store.manifest(name)
        assert current is not None
        assert kit.tree(store.tree(name)) == trees[current.release]
        # And it can be gone on with, though not without the contents that were tidied away.
        begin()
        assert kit.tree(checked_out(store, new)) == trees[new.release]
        assert kit.tree(checked_out(store, old)) == trees[old.release]
    assert killed >= 20
    record_property("kills while a release was made", killed)


def expected(of: Manifest, store: Store) -> dict[str, bytes]:
    return {e.path: store.objects.path(e.content).read_bytes() for e in of.entries}


def test_a_tree_that_nobody_waits_for_any_more_is_given_up(tmp_path: Path) -> None:
    store = kit.store(tmp_path)
    wanted = manifest(store, {"a": b"1", "b": b"2"})
    answers = iter([True, True, False])
    with pytest.raises(Halted):
        check_out(store, wanted, tmp_path / "output", lambda: next(answers, False))
    assert not any(store.staging.iterdir())
    assert not store.names()
