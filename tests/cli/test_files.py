"""``runner files`` tells what travels, and ``check`` judges it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.sync import kit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = """\
[pipeline]
name = "p"

[stages.read]
run = "app.io:read"

[stages.show]
run = "app.io:show"

[[edges]]
from = "read"
to = "show"
"""
CODE = "def read():\n    yield 1\ndef show(x):\n    pass\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kit.write(
        tmp_path,
        {
            "pipeline.toml": FILE,
            "app/__init__.py": "",
            "app/io.py": CODE,
            ".gitignore": "/data/\n",
            "data/in.csv": "x" * 5000,
            "big/b.bin": "x" * 3000,
            "prod.env.key": "secret",
        },
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_file_is_listed_with_its_size_and_what_hides_the_others(
    project: Path, runner: Callable[..., Any]
) -> None:
    (project / "out").symlink_to("/tmp")
    ended = runner("files")
    assert ended.code == 0
    assert [line.split()[1] for line in ended.out.splitlines()] == [
        ".gitignore",
        "app/__init__.py",
        "app/io.py",
        "big/b.bin",
        "pipeline.toml",
    ]
    assert "5 files, 3.1 KiB would travel to each host" in ended.err
    assert [line.split(None, 2)[2] for line in ended.err.splitlines()[1:]] == [
        "out  (it is a link that points to an absolute path)",
        "data/  (.gitignore:1 `/data/`)",
        "prod.env.key  (a secret: `*.key`)",
    ]


def test_top_begins_with_the_largest(project: Path, runner: Callable[..., Any]) -> None:
    lines = runner("files", "--top", "-q").out.splitlines()
    assert lines[0].split() == ["2.9K", "big/"]
    assert [line.split()[1] for line in lines[2:4]] == ["big/b.bin", "pipeline.toml"]


def test_json_has_everything(project: Path, runner: Callable[..., Any]) -> None:
    facts = json.loads(runner("files", "--json").out)
    assert facts["size_bytes"] == sum(each["size_bytes"] for each in facts["files"])
    assert {each["path"]: each["why"] for each in facts["left"]} == {
        "data": ".gitignore:1 `/data/`",
        "prod.env.key": "a secret: `*.key`",
    }


def test_a_name_with_control_codes_does_not_reach_the_terminal(
    project: Path, runner: Callable[..., Any]
) -> None:
    (project / "evil\x1b[2Jname").touch()
    assert "\x1b" not in runner("files").out


def test_nothing_of_many_left_out_is_hidden_without_saying_so(
    project: Path, runner: Callable[..., Any]
) -> None:
    for number in range(30):
        (project / f"{number}.pem").touch()
    assert "and 12 more paths: runner files -v" in runner("files").err
    assert "more paths" not in runner("files", "-v").err


def check(runner: Callable[..., Any]) -> list[dict[str, Any]]:
    problems: list[dict[str, Any]] = json.loads(runner("check", "--json").out)
    return [each for each in problems if each["severity"] != "note"]


def test_a_file_over_max_file_is_an_error_at_the_setting(
    project: Path, runner: Callable[..., Any]
) -> None:
    (project / "pipeline.toml").write_text(f'{FILE}\n[sync]\nmax_file = "2KB"\n')
    (problem,) = check(runner)
    assert problem["code"] == "large-file"
    assert problem["message"] == ("big/b.bin is larger than max_file: 2.9 KiB, and at most 2 KiB")
    assert problem["hint"] == 'leave it out: ignore = ["/big/b.bin"] in [sync]; or raise max_file'
    assert problem["line"] == 15
    (project / "pipeline.toml").write_text(
        f'{FILE}\n[sync]\nmax_file = "2KB"\nignore = ["/big/b.bin"]\n'
    )
    assert check(runner) == []


def test_a_module_that_does_not_travel_is_an_error_at_the_stage(
    project: Path, runner: Callable[..., Any]
) -> None:
    (project / ".gitignore").write_text("io.py\n")
    (problem,) = check(runner)
    assert (problem["code"], problem["line"]) == ("left-behind", 5)
    assert problem["message"] == "app/io.py does not travel to the hosts: .gitignore:1 `io.py`"
    assert problem["hint"].endswith("(runner files); so with show")


@pytest.mark.parametrize(
    ("code", "hidden", "rules", "message"),
    [
        ("import vendor", "vendor/__init__.py", ".gitignore", "vendor/, which"),
        ("import vendor", "vendor.py", ".gitignore", "vendor.py, which"),
        (
            "from vendor.core import f",
            "vendor/core.py",
            "vendor/.gitignore",
            "vendor/core.py, which",
        ),
        ("from app import secret", "app/secret.py", "app/.gitignore", "app/secret.py, which"),
        ("from . import secret", "app/secret.py", ".runnerignore", "app/secret.py, which"),
        ("open('big/words.txt')", "big/words.txt", ".gitignore", "big/words.txt, which"),
        (
            "import pathlib\npathlib.Path(__file__).resolve().with_name('x.txt').read_text()",
            "app/x.txt",
            ".gitignore",
            "app/x.txt, which",
        ),
        (
            "try:\n    import vendor\nexcept ImportError:\n    raise RuntimeError('no vendor')",
            "vendor.py",
            ".gitignore",
            "vendor.py, which",
        ),
    ],
)
def test_what_a_module_needs_and_does_not_travel_is_told_with_the_rule_that_hides_it(
    project: Path, runner: Callable[..., Any], code: str, hidden: str, rules: str, message: str
) -> None:
    kit.write(project, {hidden: "f = 1\n"})
    source = project / "app/io.py"
    source.write_text(f"{code}\n{source.read_text()}")
    assert check(runner) == []
    folder = rules.rpartition("/")[0]
    pattern = hidden.removeprefix(f"{folder}/") if folder else hidden
    pattern = "vendor/" if pattern == "vendor/__init__.py" else pattern
    (project / rules).write_text(f"# comment\n\n{pattern}\n")
    (problem,) = check(runner)
    assert (problem["code"], problem["severity"]) == ("left-behind", "error")
    assert message in problem["message"]
    assert problem["message"].endswith(f"{rules}:3 `{pattern}`")
    assert problem["hint"].startswith("at app/io.py:")


def test_a_folder_without_code_is_not_what_an_import_misses(
    project: Path, runner: Callable[..., Any]
) -> None:
    kit.write(project, {"nobody9/data.bin": "", ".gitignore": "nobody9/\n"})
    source = project / "app/io.py"
    source.write_text("import nobody9.core\n" + source.read_text())
    (problem,) = check(runner)
    assert problem["code"] == "import"
    assert "No module named 'nobody9'" in problem["message"]


def test_what_a_module_can_do_without_may_stay_behind(
    project: Path, runner: Callable[..., Any]
) -> None:
    kit.write(project, {"vendor.py": "", ".gitignore": "vendor.py\n"})
    source = project / "app/io.py"
    optional = "try:\n    import vendor\nexcept ImportError:\n    vendor = None\n"
    source.write_text(optional + source.read_text())
    assert check(runner) == []


def test_a_large_project_is_warned_of_with_its_largest_folders(
    project: Path, runner: Callable[..., Any]
) -> None:
    for path, size in (("big/model.bin", 900), ("more/data.bin", 300)):
        kit.write(project, {path: ""})
        os.truncate(project / path, size * 1024**2)  # a hole: it takes no room
    (problem,) = check(runner)
    assert (problem["severity"], problem["code"]) == ("warning", "large-project")
    assert problem["message"] == (
        "every host gets 1.2 GiB of files: big/ 900 MiB, more/ 300 MiB, pipeline.toml 129 B"
    )


def test_a_home_directory_is_no_project(
    project: Path, runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    (problem,) = check(runner)
    assert (problem["severity"], problem["code"]) == ("error", "bad-project")
    assert "put the file into a folder of its own" in problem["hint"]
    (project / "pipeline.toml").write_text(f'{FILE}\n[sync]\ninclude = ["app/**"]\n')
    assert check(runner) == []


def test_a_project_of_very_many_files_is_warned_of_with_its_fullest_folders(
    project: Path, runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_runner.sync.checks.MANY_FILES", 4)
    (problem,) = check(runner)
    assert problem["message"].startswith("every host gets 5 files: app/ 2,")


def test_a_package_in_src_is_told_once_with_the_setting_that_finds_it(
    project: Path, runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "src").mkdir()
    (project / "app").rename(project / "src/app")
    (problem,) = check(runner)
    assert (problem["code"], problem["severity"], problem["line"]) == ("elsewhere", "error", 5)
    assert problem["hint"].endswith("on every host; so with show")
    monkeypatch.setenv("PYTHONPATH", str(project / "src"))  # as if it were installed, here alone
    (problem,) = check(runner)
    assert (problem["code"], problem["severity"], problem["line"]) == ("elsewhere", "warning", 5)
    monkeypatch.delenv("PYTHONPATH")
    settings = '[defaults]\nenv = { PYTHONPATH = "src" }\n'
    (project / "pipeline.toml").write_text(f"{FILE}\n{settings}")
    assert check(runner) == []
