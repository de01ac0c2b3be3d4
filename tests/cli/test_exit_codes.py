"""One fault, one exit code, whatever the verb: the table of the README."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.head.control import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ON_A_FILE = ("check", "up", "plan", "debug", "files")
ON_A_RUN = (
    "ps",
    "top",
    "down",
    "why square",
    "drain desk",
    "queue ls",
    "queue peek generate->square",
    "queue purge generate->square --yes",
    "token",
)
ON_ITS_STATE = (*ON_A_RUN, "errors list", "errors show 1", "errors retry --all", "clean")


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_LOCAL", "1")


def code(runner: Callable[..., Any], line: str) -> int:
    return int(runner(*line.split()).code)


@pytest.mark.parametrize("line", [*ON_A_FILE, *ON_ITS_STATE])
def test_a_file_that_is_not_there_is_2(
    runner: Callable[..., Any], project: Path, line: str
) -> None:
    assert code(runner, f"{line} -f nope.toml") == 2


@pytest.mark.parametrize("line", [*ON_A_FILE, *ON_ITS_STATE])
def test_a_file_that_is_no_toml_is_1(runner: Callable[..., Any], project: Path, line: str) -> None:
    (project / "pipeline.toml").write_text("[pipeline\n")
    assert code(runner, line) == 1


@pytest.mark.parametrize("line", ON_A_FILE)
def test_a_file_with_a_fault_is_1(runner: Callable[..., Any], project: Path, line: str) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("processes", "proceses"))
    assert code(runner, line) == 1


@pytest.mark.parametrize("line", ["check", "up", "debug"])
def test_what_cannot_be_imported_is_1(runner: Callable[..., Any], project: Path, line: str) -> None:
    (project / "functions.py").write_text("import a_module_nobody_has\n")
    assert code(runner, line) == 1


@pytest.mark.parametrize("line", ON_A_RUN)
def test_no_head_is_3(runner: Callable[..., Any], project: Path, line: str) -> None:
    assert code(runner, line) == 3


@pytest.mark.parametrize(
    "line",
    [
        "",
        "chekc",
        "check --nonsense",
        "check a.toml -f b.toml",
        "debug --stage nope --item 1",
        "errors show 99",
        "errors retry 99",
        "errors drop 99 --yes",
        "errors retry",
        "queue nonsense",
    ],
)
def test_what_was_asked_for_wrongly_is_2(
    runner: Callable[..., Any], project: Path, line: str
) -> None:
    assert code(runner, line) == 2


def test_changes_are_10_where_that_is_asked_for(runner: Callable[..., Any], project: Path) -> None:
    assert code(runner, "plan") == 0
    assert code(runner, "plan --exit-code") == 10


@pytest.fixture
def silent(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A head that takes every question and answers none."""
    state = project / ".runner" / "squares"
    state.mkdir(parents=True)
    monkeypatch.setattr(client, "_PATIENCE_S", 0.05)
    monkeypatch.chdir(state)  # the whole path may be too long for a socket
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        listening.listen(8)
        monkeypatch.chdir(project)
        text = f'{{"socket": "{state}/s", "pid": 1, "name": "squares"}}'
        (state / "head.json").write_text(text)
        yield


@pytest.mark.parametrize("line", [one for one in ON_A_RUN if one not in ("top", "down")])
def test_a_head_that_does_not_answer_is_5(
    runner: Callable[..., Any], silent: None, line: str
) -> None:
    assert code(runner, line) == 5
