"""A manifest is judged whole before anything of it is used."""

from __future__ import annotations

import os
import string
import tempfile
from hashlib import sha256
from pathlib import Path, PurePosixPath

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_runner.sync.manifest import BadManifest, Entry, Manifest, read
from pipeline_runner.sync.paths import fault, link_fault, twins

CONTENT = sha256(b"x").hexdigest()
NAMES = st.text(string.ascii_letters + "0.-é ", min_size=1, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
NASTY = st.text(string.ascii_lowercase[:3] + "./\\\0:\n\ud800C", max_size=12)


def encoded(*entries: Entry, packages: tuple[str, ...] = ()) -> bytes:
    """Return what a head that knows no rules would send."""
    return msgspec.json.encode({"format": 1, "packages": packages, "entries": entries})


def judged(data: bytes) -> Manifest:
    return read(data, sha256(data).hexdigest())


@given(st.dictionaries(PATHS, st.binary(max_size=3), max_size=6))
def test_what_was_written_is_read_again(files: dict[str, bytes]) -> None:
    leaves = {
        path: data
        for path, data in files.items()
        if not fault(path) and not any(other.startswith(f"{path}/") for other in files)
    }
    entries = tuple(
        Entry(path, "file", len(data), sha256(data).hexdigest()) for path, data in leaves.items()
    )
    manifest = Manifest(entries, ("numpy",))
    again = read(manifest.data, manifest.release)
    assert {entry.path for entry in again.entries} == set(leaves)
    assert (again.entries, again.packages) == (manifest.entries, manifest.packages)
    assert again.release == manifest.release


@given(st.lists(NASTY, min_size=1, max_size=4))
@example(["..", "a"])
@example(["a/../../b"])
@example(["/etc/passwd"])
@example(["C:evil"])
def test_no_path_that_is_read_leads_out_of_the_tree(wild: list[str]) -> None:
    try:
        data = encoded(*(Entry(path, "file", 1, CONTENT) for path in sorted(set(wild))))
        manifest = judged(data)
    except (BadManifest, UnicodeEncodeError):
        return
    for entry in manifest.entries:
        assert not entry.path.startswith("/")
        assert ".." not in PurePosixPath(entry.path).parts
        assert str(PurePosixPath(entry.path)) == entry.path
        assert "\0" not in entry.path


STEPS = st.lists(st.sampled_from(["..", "..", "a", "b", "c", "."]), min_size=1, max_size=5)


@given(st.dictionaries(st.sampled_from(["a", "b", "c/a", "c/b", "c/d/a"]), STEPS.map("/".join)))
@example({"c/a": "../b", "b": "c/d/.."})
@example({"c/d/a": "../..", "a": "c/d/a/.."})
def test_no_set_of_links_leads_out_of_the_tree(links: dict[str, str]) -> None:
    made = {path: target for path, target in links.items() if not link_fault(path, target)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "tree"
        (root / "c/d").mkdir(parents=True)
        for path, target in made.items():
            (root / path).symlink_to(target)
        for path in made:
            leads = Path(os.path.realpath(root / path))
            assert leads == root or root in leads.parents


FILE = Entry("a", "file", 1, CONTENT)
HOSTILE = {
    "climbs": [Entry("../a", "file", 1, CONTENT)],
    "climbs inside": [Entry("a/../../b", "file", 1, CONTENT)],
    "is absolute": [Entry("/a", "file", 1, CONTENT)],
    "is empty": [Entry("", "file", 1, CONTENT)],
    "is not tidy": [Entry("a//b", "file", 1, CONTENT)],
    "is a dot": [Entry("./a", "file", 1, CONTENT)],
    "ends in a slash": [Entry("a/", "folder")],
    "has a drive": [Entry("c:/a", "file", 1, CONTENT)],
    "has a zero": [Entry("a\0b", "file", 1, CONTENT)],
    "is too long": [Entry("a" * 256, "file", 1, CONTENT)],
    "is too deep": [Entry("/".join("a" * 101), "file", 1, CONTENT)],
    "is there twice": [FILE, FILE],
    "is out of order": [Entry("b", "file", 1, CONTENT), FILE],
    "is below a file": [FILE, Entry("a/b", "file", 1, CONTENT)],
    "is below a link": [Entry("a", "link", 0, "b"), Entry("a/b", "file", 1, CONTENT)],
    "is below an empty folder": [Entry("a", "folder"), Entry("a/b", "file", 1, CONTENT)],
    "has a negative size": [Entry("a", "file", -1, CONTENT)],
    "is larger than anything": [Entry("a", "file", 1 << 60, CONTENT)],
    "has two sizes": [FILE, Entry("b", "file", 2, CONTENT)],
    "has no hash": [Entry("a", "file", 1, "../../objects")],
    "has a hash in capitals": [Entry("a", "file", 1, CONTENT.upper())],
    "links to an absolute path": [Entry("a", "link", 0, "/etc/passwd")],
    "links out": [Entry("a/b", "link", 0, "../../c")],
    "links up after down": [Entry("a/b", "link", 0, "c/../../d")],
    "links nowhere": [Entry("a", "link", 0, "")],
    "is a folder with a content": [Entry("a", "folder", 0, CONTENT)],
    "is a link with a size": [Entry("a", "link", 3, "b")],
}


@pytest.mark.parametrize("why", HOSTILE)
def test_a_hostile_manifest_is_refused(why: str) -> None:
    with pytest.raises(BadManifest, match="cannot be trusted"):
        judged(encoded(*HOSTILE[why]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format":2,"packages":[],"entries":[]}',
        b'{"format":1,"packages":[],"entries":[["a","socket"]]}',
        b'{"format":1,"packages":[],"entries":[["a","file",1,"x","more"]]}',
        b'{"format":1,"packages":[],"entries":[],"more":1}',
        b'{"format":1,"packages":[],"entries":[["\\ud800","folder"]]}',
        b'{"format":1,"packages":[],"entries":[["\xff","folder"]]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(BadManifest):
        judged(data)


def test_a_manifest_of_another_name_is_refused() -> None:
    manifest = Manifest((FILE,))
    with pytest.raises(BadManifest, match="not the one that its release is named after"):
        read(manifest.data, Manifest(()).release)


def test_the_name_follows_from_every_fact_of_every_file() -> None:
    others = [
        Entry("b", "file", 1, CONTENT),
        Entry("a", "program", 1, CONTENT),
        Entry("a", "file", 1, sha256(b"y").hexdigest()),
        Entry("a", "link", 0, "b"),
    ]
    names = {Manifest((entry,)).release for entry in (FILE, *others)}
    assert len(names) == 5


def test_code_is_named_by_its_modules_alone() -> None:
    code = Entry("app.py", "file", 1, CONTENT)
    data = Entry("data.csv", "file", 1, CONTENT)
    assert Manifest((code,)).code == Manifest((code, data)).code
    assert Manifest((code,)).code != Manifest((Entry("b.py", "file", 1, CONTENT),)).code


def test_twins_are_found_in_every_folder_of_a_path() -> None:
    assert twins(["A", "a"]) == [("A", "a")]
    assert twins(["Data/x", "data/y"]) == [("Data", "data")]
    assert twins(["caf\u00e9", "cafe\u0301"]) == [("caf\u00e9", "cafe\u0301")]
    assert twins(["stra\u00dfe", "STRASSE"]) == [("stra\u00dfe", "STRASSE")]
    assert twins(["a/x", "a/y", "b/x"]) == []
