"""A host whose Python or packages do not fit: told at once, with the cure, and given no work."""

from __future__ import annotations

import platform
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import RUNNER, chain, stage, until
from tests.hosts.site import Site, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.hosts.lan import Lan

DOCUMENT = (
    stage("numbers", "functions:held_back")
    + stage("work", "functions:work", "per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "work", "keep")
)
# A second interpreter with everything that is compiled for it is not to be had in a test: this one
# says that it is another.
OTHER_PYTHON = """
import platform

platform.python_version = lambda: "3.99.1"
"""


@pytest.fixture
def ours(network: Callable[..., Lan]) -> Iterator[Site]:
    with site(network("desk", "pi"), "desk") as made:
        made.write(DOCUMENT, items=20)
        made.open_gate("fast")
        yield made


def install(folder: Path, package: str, version: str) -> str:
    """Make a package look installed for those who have the folder on their path; return that."""
    about = folder / f"{package}-{version}.dist-info"
    about.mkdir(parents=True)
    about.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    )
    return str(folder)


def why(ours: Site) -> str:
    return subprocess.run(
        ours.head.command(RUNNER, "why", "work"),
        cwd=ours.project.root,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    ).stdout


def finish_alone(ours: Site) -> None:
    """Let the run end; only the head's host may have worked."""
    ours.open_gate("all-here")
    ours.open_gate("end")
    ended = ours.run.wait()
    assert ended.code == 0, ended.err
    assert {host for begun in ours.begun().values() for host, *_ in begun} == {"desk"}


def test_another_python_is_told_on_both_sides_before_any_work(ours: Site) -> None:
    ours.up()
    home = ours.lan["pi"].home
    (home / "sitecustomize.py").write_text(OTHER_PYTHON)
    joined = ours.join(ours.lan["pi"], PYTHONPATH=str(home))
    until(lambda: "it has Python 3.99.1" in why(ours), "the head says why it gives no work")
    assert f"and the head {platform.python_version()}" in why(ours)
    until(lambda: "Python 3.99.1" in joined.said, "the host says it too")
    assert f"python{'.'.join(platform.python_version_tuple()[:2])} -m venv" in joined.said
    finish_alone(ours)


def test_a_missing_package_is_told_with_the_command_that_installs_it(ours: Site) -> None:
    (ours.project.root / "requirements.txt").write_text("some-thing>=1\n")
    ours.up(PYTHONPATH=install(ours.head.home / "site", "some_thing", "1.5"))
    joined = ours.join(ours.lan["pi"])
    until(lambda: "it has no some-thing" in why(ours), "the head says why it gives no work")
    assert until(lambda: "pip install some-thing==1.5" in joined.said, "the host says it too")
    finish_alone(ours)


def test_a_host_that_has_the_package_works(ours: Site) -> None:
    (ours.project.root / "requirements.txt").write_text("some-thing>=1\n")
    ours.up(PYTHONPATH=install(ours.head.home / "site", "some_thing", "1.5"))
    home = ours.lan["pi"].home
    ours.join(ours.lan["pi"], PYTHONPATH=install(home / "site", "some_thing", "1.4"))
    until(lambda: ours.workers().get("pi"), "it has work")
    assert "pi" not in why(ours).partition("no ")[2]


LACKING = (
    stage("numbers", "functions:held_back")
    + stage("work", "needy:work", "per_host = 3")
    + stage("again", "needy:again", "per_host = 2")
    + stage("plain", "functions:square", "per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "work", "again", "plain", "keep")
)
NEEDY = """\
import some_module
from functions import work


def again(number):
    return number
"""


def test_a_module_nobody_named_costs_its_stages_that_host_and_is_told_once_on_both_sides(
    ours: Site,
) -> None:
    site = install(ours.head.home / "site", "some_thing", "1.5")
    (ours.head.home / "site" / "some_module.py").touch()
    (ours.head.home / "site/some_thing-1.5.dist-info/top_level.txt").write_text("some_module\n")
    ours.write(LACKING, items=20, more={"needy": NEEDY})
    ours.open_gate("fast")
    ours.up("--ui", "plain", PYTHONPATH=site)
    joined = ours.join(ours.lan["pi"])
    reason = "it has no module some_module: pip install some_thing==1.5, and join again"
    until(lambda: reason in why(ours), "the head says why it gives that stage no work")
    until(lambda: reason in joined.said, "the host says it too")
    until(lambda: ours.workers().get("pi") == {"plain": 1}, "it works on what it can import")
    ours.open_gate("all-here")
    ours.open_gate("end")
    ended = ours.run.wait()
    assert ended.code == 0, ended.err
    assert {host for begun in ours.begun().values() for host, *_ in begun} == {"desk"}
    for said in (ended.err, joined.said):
        assert said.count("some_module") == 1, said
        assert "work and again" in said or "again and work" in said
        assert "Traceback" not in said


def test_a_host_that_joins_again_with_the_module_works(ours: Site) -> None:
    site = ours.head.home / "site"
    site.mkdir()
    (site / "some_module.py").touch()
    ours.write(LACKING, items=20, more={"needy": NEEDY})
    ours.up(PYTHONPATH=str(site))
    joined = ours.join(ours.lan["pi"])
    until(lambda: "pip install some_module, and join again" in joined.said, "it is told")
    joined.popen.terminate()
    joined.ended()
    ours.join(ours.lan["pi"], PYTHONPATH=str(site))
    until(lambda: ours.workers().get("pi", {}).get("work") == 3, "its workers load")
    assert "some_module" not in why(ours)
