"""A host is told before any work what it lacks, and the command that cures it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_runner.sync.environment import (
    Environment,
    compare,
    project_requirements,
    requirements,
    satisfies,
)
from pipeline_runner.sync.installed import cure, environment, named
from tests.sync import kit

if TYPE_CHECKING:
    from pathlib import Path

HEAD = Environment("3.11.4", {"numpy": "1.26.0", "pillow": "10.1", "absent": ""})


def test_a_host_with_the_same_packages_fits_whatever_its_patch_version() -> None:
    found = compare(HEAD, Environment("3.11.9", {"numpy": "1.26.0", "pillow": "10.1"}), {})
    assert (found.problems, found.notes) == ((), ())


def test_another_python_is_refused_with_the_one_to_start() -> None:
    found = compare(HEAD, Environment("3.12.1", HEAD.packages), {})
    (problem,) = found.problems
    assert problem == (
        "it has Python 3.12.1, and the head 3.11.4: "
        "start it with python3.11, in an environment made by `python3.11 -m venv`"
    )


def test_what_is_missing_or_not_allowed_is_one_command_away() -> None:
    host = Environment("3.11.4", {"numpy": "2.0.1"})
    found = compare(HEAD, host, {"numpy": "<2"})
    assert found.problems == (
        "it has numpy 2.0.1, not <2, no pillow: pip install numpy==1.26.0 pillow==10.1",
    )


def test_another_version_that_the_project_allows_is_only_told() -> None:
    host = Environment("3.11.4", {"numpy": "1.25.0", "pillow": "10.1"})
    found = compare(HEAD, host, {"numpy": ">=1.20"})
    assert found.problems == ()
    assert found.notes == ("it has numpy 1.25.0, and the head 1.26.0",)


def test_a_package_that_the_head_does_without_is_asked_of_nobody() -> None:
    host = Environment("3.11.4", {"numpy": "1.26.0", "pillow": "10.1"})
    assert not compare(HEAD, host, {"absent": ">=1"}).problems


@pytest.mark.parametrize(
    ("version", "clauses", "allowed"),
    [
        ("1.2", "", True),
        ("1.2", "==1.2.0", True),
        ("1.10", ">=1.9", True),
        ("1.2.3", "~=1.2.1", True),
        ("1.3", "~=1.2.1", False),
        ("1.3", "~=1.2", True),
        ("2.0", "~=1.2", False),
        ("1.2.9", "==1.2.*", True),
        ("1.2.9", "!=1.2.*", False),
        ("1.20", "==1.2.*", False),
        ("2.0rc1", "<2", False),
        ("2.0rc1", ">=2.0b1", True),
        ("1.0.post1", ">1.0", False),
        ("1.0.post2", ">1.0.post1", True),
        ("1.0.dev3", "<1.0a1", True),
        ("1.0+local", "==1.0", True),
        ("2.1", ">=1,<3,!=2.0", True),
        ("2.0", ">=1,<3,!=2.0", False),
        ("weird", ">=1", True),
        ("1.0", "===1.0", True),
        ("1.0.0", "===1.0", False),
    ],
)
def test_versions_are_compared_as_pip_does(version: str, clauses: str, allowed: bool) -> None:
    assert satisfies(version, clauses) is allowed


def test_every_way_of_naming_a_package_is_read(tmp_path: Path) -> None:
    text = (
        "# tools\n-r more.txt\n--index-url https://example.org\n\nNumPy>=1.20,<2 # fast\n"
        "requests[socks] ~= 2.31\nPillow\ntyping.extensions==4.1; python_version < '3.11'\n"
        "thing @ https://example.org/a.whl\n./local\ngit+https://example.org/x\nsix \\\n ==1.16\n"
    )
    assert requirements(text) == {
        "numpy": ">=1.20,<2",
        "requests": "~= 2.31",
        "pillow": "",
        "typing-extensions": "==4.1",
        "thing": "",
        "six": "==1.16",
    }
    assert project_requirements({"project": {"dependencies": ["a>=1", 3]}}) == {"a": ">=1"}
    assert project_requirements({"project": []}) == {}
    kit.write(tmp_path, {"pyproject.toml": "[project]\ndependencies = ['click>=8', 'six']\n"})
    kit.write(tmp_path, {"requirements.txt": "six==1.16\n"})
    assert named(tmp_path) == {"click": ">=8", "six": "==1.16"}
    kit.write(tmp_path, {"pyproject.toml": "not toml ["})
    assert named(tmp_path) == {"six": "==1.16"}


def test_installed_versions_are_found_whatever_the_name_is_written_like() -> None:
    found = environment(["Click", "no-such-package"])
    assert found.packages["Click"]
    assert found.packages["no-such-package"] == ""


def install(site: Path, name: str, version: str, **files: str) -> None:
    """Make a package with these files look installed in ``site``."""
    about = f"{name.replace('-', '_')}-{version}.dist-info"
    texts = {path.replace("__", "/") + ".py": text for path, text in files.items()}
    kit.write(site, texts)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    record = "".join(f"{path},,\n" for path in texts)
    kit.write(site, {f"{about}/METADATA": metadata, f"{about}/RECORD": record})


def test_a_module_is_cured_by_the_package_it_is_of_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, root = tmp_path / "site", tmp_path / "project"
    install(site, "opencv-like", "4.1", cv9="")
    install(site, "google-one", "1.0", google9__one="")
    install(site, "google-two", "2.0", google9__two="")
    kit.write(site, {"local-1.dist-info/METADATA": "Name: local\nVersion: 1\n"})
    kit.write(site, {"local-1.dist-info/RECORD": "local9.py,,\n"})
    kit.write(site, {"local-1.dist-info/direct_url.json": '{"dir_info": {}, "url": "file:///x"}'})
    kit.write(root, {"vendor9/__init__.py": ""})
    monkeypatch.syspath_prepend(str(site))
    assert cure(root, "cv9") == "pip install opencv-like==4.1"
    assert cure(root, "google9.two") == "pip install google-two==2.0"
    assert cure(root, "nobody9.has.it") == "pip install nobody9"
    assert cure(root, "local9") == "install local there as well, which here comes from a folder"
    assert cure(root, "vendor9") == "let it travel (`runner files` tells what hides it)"
