"""What runs leave behind, and what ``runner clean`` takes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.kit import until
from tests.e2e.test_letters import retry, write

if TYPE_CHECKING:
    from tests.e2e.kit import Project


def names(project: Project) -> list[str]:
    ended = project.runner("clean", "--json")
    assert ended.returncode == 0, ended.stderr
    return [each["name"] for each in json.loads(ended.stdout)]


def test_clean_says_sizes_and_asks_before_it_deletes(project: Project) -> None:
    write(project, 4, late=False)
    for _ in range(2):
        assert project.up("--no-import").code == 1
    left = ["logs", "journal.finished", "dead", "files"]
    assert names(project) == left
    ended = project.runner("clean")
    assert ended.returncode == 2
    assert [line.split()[1] for line in ended.stdout.splitlines()] == left
    assert "without it its 2 dead letters cannot be retried" in ended.stdout
    assert "2 dead letters of earlier runs" in ended.stdout
    assert "add --yes" in ended.stderr
    assert len(project.letters()) == 4
    assert all((project.state / name).exists() for name in left)
    assert project.runner("clean", "--yes").returncode == 0
    assert not any((project.state / name).exists() for name in left if name != "dead")
    assert [letter.letter for letter in project.letters()] == [3, 4], "those of the last run"
    assert project.runner("clean").stderr == "nothing to delete\n"


def test_clean_leaves_a_live_run_alone(project: Project) -> None:
    write(project, 4)
    project.open_gate()
    assert project.up("--no-import").code == 1
    (project.root / "gate").unlink()
    run = project.start("--no-import")
    until(lambda: run.stage("keep").get("state") == "finished", "the stages end")
    assert names(project) == []
    ended = project.runner("clean", "--yes")
    assert ended.returncode == 0
    assert "a run that is not over keeps its journal, its logs and its dead letters" in ended.stderr
    assert (project.state / "logs").is_dir()
    assert (project.state / "journal").exists()
    (project.root / "mended").touch()
    assert len(retry(project, "--all")["retried"]) == 4
    until(lambda: not project.letters(), "they are back")
    project.open_gate()
    assert run.wait().code == 0
