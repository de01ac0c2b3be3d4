from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_a_file_without_faults_gets_one_friendly_line(
    runner: Callable[..., Any], project: Path
) -> None:
    ended = runner("check")
    assert ended.code == 0
    assert (
        "pipeline.toml is fine: 3 stages, 2 edges, every function imports.  Run it: runner up\n"
        in ended.err
    )
    assert "kept in memory only" in ended.err


def test_faults_are_data_on_stdout_with_a_caret_and_exit_1(
    runner: Callable[..., Any], project: Path
) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("processes", "proceses"))
    ended = runner("check", "--no-import")
    assert ended.code == 1
    assert "error[unknown-key]" in ended.out
    assert "^^^^^^^^" in ended.out
    assert "is fine" not in ended.err


def test_a_function_that_is_not_there_is_found_by_importing(
    runner: Callable[..., Any], project: Path
) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("functions:square", "functions:sqare"))
    ended = runner("check")
    assert ended.code == 1
    assert "square" in ended.out
    assert runner("check", "--no-import").code == 0


def test_json_is_a_list_of_problems(runner: Callable[..., Any], project: Path) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("processes", "proceses"))
    ended = runner("check", "--json", "--no-import")
    assert ended.code == 1
    [problem] = [p for p in json.loads(ended.out) if p["severity"] == "error"]
    assert (problem["code"], problem["line"], problem["column"]) == ("unknown-key", 10, 1)
    assert json.loads(runner("check", "--format", "json", "--no-import").out)


def test_github_gets_workflow_commands(runner: Callable[..., Any], project: Path) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("processes", "proceses"))
    assert "::error " in runner("check", "--format", "github", "--no-import").out


def test_notes_wait_until_there_is_no_error(runner: Callable[..., Any], project: Path) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"\n', ""))
    assert "note[replay]" in runner("check").out
    file.write_text(file.read_text().replace("functions:square", "functions:sqare"))
    ended = runner("check")
    assert ended.out.endswith("1 error\n")
    assert "note" not in ended.out


def test_quiet_says_nothing_about_a_good_file(runner: Callable[..., Any], project: Path) -> None:
    ended = runner("check", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_another_file_is_named_in_the_next_command(
    runner: Callable[..., Any], project: Path
) -> None:
    (project / "pipeline.toml").rename(project / "other.toml")
    assert "Run it: runner up other.toml" in runner("check", "other.toml").err
    assert "Run it: runner up other.toml" in runner("check", "-f", "other.toml").err


def test_the_project_is_where_a_linked_file_really_is(
    runner: Callable[..., Any],
    project: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "linked.toml").symlink_to(project / "pipeline.toml")
    monkeypatch.chdir(elsewhere)
    assert runner("check", "linked.toml").code == 0


def test_a_function_that_is_not_there_is_shown_at_its_place_in_the_file(
    runner: Callable[..., Any], project: Path
) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("functions:square", "functions:sqare"))
    assert " --> pipeline.toml:9:18\n" in runner("check").out


def test_what_cannot_be_imported_is_told_beside_every_other_fault(
    runner: Callable[..., Any], project: Path
) -> None:
    file = project / "pipeline.toml"
    text = file.read_text().replace("processes", "proceses").replace('"collect"', '"colect"')
    file.write_text(text.replace("functions:generate", "functions:genrate"))
    problems = json.loads(runner("check", "--json").out)
    found = {problem["code"] for problem in problems}
    assert found == {"unknown-key", "unknown-stage", "import"}
    [missing] = [problem for problem in problems if problem["code"] == "import"]
    assert missing["message"] == "functions has no `genrate`"


def test_how_a_stage_is_called_waits_until_it_is_told_what_calls_it(
    runner: Callable[..., Any], project: Path
) -> None:
    file = project / "pipeline.toml"
    functions = project / "functions.py"
    functions.write_text(functions.read_text().replace("square(number)", "square()"))
    text = file.read_text()
    assert "takes none" in runner("check").out, "square gets an item"
    file.write_text(text.replace("processes", "proceses"))
    assert "takes none" not in runner("check").out
    file.write_text(text.replace('to = "square"', 'to = "sqare"'))
    assert "takes none" not in runner("check").out


def test_a_stage_whose_run_is_at_fault_is_not_imported(
    runner: Callable[..., Any], project: Path
) -> None:
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("functions:square", "${NO_SUCH_MODULE}:square"))
    problems = json.loads(runner("check", "--json").out)
    assert [problem["code"] for problem in problems] == ["unset-variable"]


def test_slips_that_a_function_s_text_shows_are_told_at_its_stage(
    runner: Callable[..., Any], project: Path
) -> None:
    (project / "functions.py").write_text(
        "import sys\ndef generate():\n    return [1, 2]\n"
        "def square(number):\n    if number:\n        return number * number\n"
        "def collect(number):\n    sys.stdin.read()\n"
    )
    problems = json.loads(runner("check", "--json").out)
    assert [(problem["code"], problem["line"]) for problem in problems] == [
        ("endless", 6),
        ("none", 9),
    ]
    (project / "functions.py").write_text(
        "import sys\ndef generate():\n    yield from sys.stdin\n"
        "def square(number):\n    print(number)\ndef collect(number): ...\n"
    )
    problems = json.loads(runner("check", "--json").out)
    assert [problem["code"] for problem in problems] == ["stdin", "none"]
