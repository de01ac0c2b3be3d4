"""The project's files on hosts that join: all of them, before any work, and again after a cut."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.hosts.site import FUNCTIONS, Site, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.hosts.lan import Host, Lan

DOCUMENT = (
    stage("numbers", "functions:held_back")
    + stage("look", "functions:look", "per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "look", "keep")
)
LOOKS = (
    FUNCTIONS
    + '''

from inner.deep import NAME


def look(number):
    """Use what is beside the code, and write what is to stay."""
    here = context()
    with open("data/table.csv") as table:
        rows = table.read()
    (here.output / f"out-{number}").write_text(rows)
    with open("stray", "a") as stray:  # root may
        stray.write("x")
    note("look", here.host, os.getcwd(), str(here.output), NAME, rows, os.path.exists(".env"))
    return number
'''
)
MORE_BYTES = 48 * 1024**2


@pytest.fixture
def ours(network: Callable[..., Lan]) -> Iterator[Site]:
    with site(network("desk", "pi"), "desk") as made:
        made.write(DOCUMENT, items=60, functions=LOOKS)
        root = made.project.root
        (root / "inner").mkdir()
        (root / "inner/deep.py").write_text('NAME = "deep"\n')
        (root / "data").mkdir()
        (root / "data/table.csv").write_text("a,b\n")
        (root / ".env").write_text("PASSWORD=secret\n")
        yield made


def cache(host: Host) -> Path:
    (found,) = (host.home / "cache/runner").iterdir()
    return found


def arrived_bytes(host: Host) -> int:
    try:
        return sum(path.stat().st_size for path in cache(host).glob("partial/[0-9a-f]*"))
    except (OSError, ValueError):
        return 0


def test_a_host_that_joins_has_the_project_and_writes_to_a_folder_of_its_own(ours: Site) -> None:
    pi = ours.lan.hosts["pi"]
    ours.up()
    joined = ours.join(pi)
    until(lambda: ours.workers().get("pi", {}).get("look") == 1, "it works")
    ours.open_gate("all-here")
    ours.open_gate("end")
    assert ours.run.wait().code == 0
    looks = [note[:-1] for note in ours.notes("look")]
    assert {look[0] for look in looks} == {"desk", "pi"}
    assert {look[3:] for look in looks} == {("deep", "a,b\n", False)}
    places = {look[0]: look[1:3] for look in looks}
    root = ours.project.root
    assert places["desk"][0].startswith(f"{root}/.runner/")
    assert places["desk"][1] == str(root)
    assert places["pi"][0].startswith(f"{pi.home}/cache/runner/")
    assert places["pi"][1] == f"{pi.home}/data/runner/{ours.project.name}"
    there = {path.name for path in (pi.home / "data/runner" / ours.project.name).iterdir()}
    here = {path.name for path in root.glob("out-*")}
    assert len(there - {"stray"}) + len(here) == 60
    assert "sync   " in joined.said
    # What root wrote into the release is out of it as soon as the run is over.
    stray = pi.home / "data/runner" / ours.project.name / "stray"
    until(stray.exists, "it is moved")
    assert len(stray.read_text() + (root / "stray").read_text()) == 60
    until(lambda: "moved  a file was written where the code lies" in joined.said)
    assert "secret" not in "".join(
        path.read_text(errors="replace") for path in cache(pi).rglob("*") if path.is_file()
    )


def test_a_join_that_was_killed_while_files_came_goes_on_where_it_was(ours: Site) -> None:
    pi = ours.lan.hosts["pi"]
    (ours.project.root / "model.bin").write_bytes(os.urandom(MORE_BYTES))
    ours.up()
    first = ours.join(pi)
    until(lambda: arrived_bytes(pi) > MORE_BYTES // 4, "a part is there")
    assert "sync   48M of files are on their way" in first.said
    first.popen.send_signal(signal.SIGSTOP)
    pi.power_off()
    first.popen.wait(10)
    part = arrived_bytes(pi)
    assert MORE_BYTES // 4 < part < MORE_BYTES
    second = ours.join(pi)
    until(lambda: "of it new" in second.said, "the rest came")
    until(lambda: ours.workers().get("pi", {}).get("look") == 1, "it works")
    (release,) = (cache(pi) / "releases").glob("*/model.bin")
    assert release.read_bytes() == (ours.project.root / "model.bin").read_bytes()
