"""What travels: exactly what git would keep, less what nobody wants elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline_runner.sync.ignore import rules
from pipeline_runner.sync.patterns import Patterns
from pipeline_runner.sync.walk import Left, walk
from tests.sync import kit

if TYPE_CHECKING:
    from pipeline_runner.sync.ignore import Rules

NAMES = ["a", "b", "foo", "bar.log", "x.py", "c d", "é", "!n", "#h", "a[b"]
PIECES = [
    *("a", "b", "foo", "*", "**", "?", "x.py", "*.log", "[ab]", "[!a]*", "[a-c]?*", "[]a]"),
    *("f?o", "*[!.]*", "\\!n", "\\#h", "a\\[b", "c d", "c\\ d", "é", "[[:alpha:]]*", "***"),
    *("[[:digit:]a]", "[c-a]", "[a", "\\", "foo**", "**foo"),
]
LINES = st.builds(
    lambda sign, root, pieces, end: sign + root + "/".join(pieces) + end,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " ", "\\ ", "\r"]),
)
IGNORE = st.lists(LINES | st.sampled_from(["", "# a", "!", "/"]), max_size=5).map("\n".join)
FOLDERS = st.lists(st.sampled_from(NAMES), max_size=3).map("/".join)
TREES = st.lists(st.tuples(FOLDERS, st.sampled_from(NAMES)), min_size=1, max_size=12)


def travelling(root: Path, by: Rules) -> set[str]:
    return {found.path for found in walk(root, by, lambda _left: None)}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not here to ask")
@given(TREES, st.dictionaries(FOLDERS, IGNORE, max_size=3))
@example([("foo", "a"), ("foo", "b")], {"": "foo/**\n!foo/a"})
@example([("foo", "bar.log")], {"": "*.log\n!foo"})
@settings(max_examples=60)
def test_what_travels_is_what_git_does_not_ignore(
    tree: list[tuple[str, str]], ignored: dict[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for below, name in tree:
            path = root / below / name
            if not path.is_dir():
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    continue
                path.touch()
        for below, text in ignored.items():
            if (root / below).is_dir():
                (root / below / ".gitignore").write_text(text, newline="")
        kept = {path for path in travelling(root, rules()) if not path.endswith(".gitignore")}
        git = ["git", "-c", "core.excludesFile=/dev/null", "-C", folder]
        subprocess.run([*git, "init", "-q"], check=True)
        every = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
        every = [p for p in every if not p.startswith(".git/") and not p.endswith(".gitignore")]
        asked = subprocess.run(
            [*git, "check-ignore", "--no-index", "--stdin", "-z"],
            input=b"\0".join(map(os.fsencode, every)),
            capture_output=True,
            check=False,
        )
        ignores = {os.fsdecode(path) for path in asked.stdout.split(b"\0")}
        files = {path for path in kept if (root / path).is_file()}
        assert files == set(every) - ignores


def why(root: Path, by: Rules) -> dict[str, str]:
    left: list[Left] = []
    list(walk(root, by, left.append))
    return {each.path: each.why for each in left}


def test_each_path_is_left_out_for_a_reason_with_a_place(tmp_path: Path) -> None:
    kit.write(
        tmp_path,
        {
            ".gitignore": "# comment\n/data/\n",
            "data/a.csv": "",
            "src/.gitignore": "*.tmp",
            "src/x.tmp": "",
            "src/code.py": "",
            ".venv/bin/python": "",
            "server.pem": "",
            "big/one": "",
        },
    )
    assert why(tmp_path, rules(ignore=["big/"])) == {
        "data": ".gitignore:2 `/data/`",
        "src/x.tmp": "src/.gitignore:1 `*.tmp`",
        ".venv": "the default `.venv`",
        "server.pem": "a secret: `*.pem`",
        "big": "`ignore` of [sync] `big/`",
    }


SECRETS = [
    *(".env", ".env.local", "a/.ENV", "server.pem", "deep/er/TLS.KEY", "id_rsa", "id_ed25519.pub"),
    *(".ssh/config", ".aws/credentials", ".netrc", ".pypirc", "x.token", ".git-credentials"),
]


@pytest.mark.parametrize("path", SECRETS)
@pytest.mark.parametrize(
    "by",
    [
        rules(),
        rules(include=["**"]),
        rules(include=list(SECRETS)),
        rules(ignore=["!**"]),
    ],
    ids=["by default", "with everything included", "with itself included", "with a negation"],
)
def test_no_rule_brings_a_secret_back(tmp_path: Path, by: Rules, path: str) -> None:
    kit.write(tmp_path, {path: "secret", "app.py": "", ".gitignore": f"!{path}\n!**"})
    assert path not in travelling(tmp_path, by)


def test_include_names_what_travels_whatever_ignore_files_say(tmp_path: Path) -> None:
    kit.write(
        tmp_path,
        {
            ".gitignore": "models/\n",
            "src/app.py": "",
            "src/__pycache__/app.pyc": "",
            "models/a.onnx": "",
            "models/a.txt": "",
            "notes.md": "",
            "deep/src/no.py": "",
        },
    )
    by = rules(include=["src/**", "models/*.onnx"])
    assert travelling(tmp_path, by) == {"src/app.py", "models/a.onnx"}
    assert travelling(tmp_path, rules(include=["src"])) == {"src/app.py", "deep/src/no.py"}
    assert travelling(tmp_path, rules(include=["/src/"])) == {"src/app.py"}
    assert travelling(tmp_path, rules(include=["**/*.py"], ignore=["deep"])) == {"src/app.py"}
    assert travelling(tmp_path, rules(include=["src/**", "!src/*.py"])) == set()


def test_runnerignore_has_the_last_word_over_gitignore(tmp_path: Path) -> None:
    kit.write(
        tmp_path,
        {
            ".gitignore": "weights/\n*.bin\n",
            ".runnerignore": "!weights/\n!*.bin\n/tests/\n",
            "weights/a.bin": "",
            "tests/t.py": "",
        },
    )
    assert travelling(tmp_path, rules()) == {".gitignore", ".runnerignore", "weights/a.bin"}


def test_a_build_folder_travels_where_the_project_says_so(tmp_path: Path) -> None:
    kit.write(tmp_path, {"build/a": "", "sub/build/b": "", "sub/.gitignore": "!build/\n"})
    assert travelling(tmp_path, rules()) == {"sub/.gitignore", "sub/build/b"}


def test_an_empty_folder_travels_and_one_of_ignored_files_comes_empty(tmp_path: Path) -> None:
    kit.write(tmp_path, {"logs/a.log": "", ".gitignore": "*.log"})
    (tmp_path / "inbox").mkdir()
    assert travelling(tmp_path, rules()) == {".gitignore", "inbox", "logs"}


def test_our_own_state_never_travels_wherever_it_is(tmp_path: Path) -> None:
    kit.write(tmp_path, {"var/[x]/journal": "", "var/x/a": ""})
    assert travelling(tmp_path, rules(denied=["var/[x]"])) == {"var/x/a"}


def test_an_ignore_file_may_begin_with_a_mark_and_end_its_lines_as_windows_does(
    tmp_path: Path,
) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbf*.tmp\r\n*.log\r\n")
    kit.write(tmp_path, {"a.tmp": "", "b.log": "", "c.py": ""})
    assert travelling(tmp_path, rules()) == {".gitignore", "c.py"}


def test_an_ignore_file_that_is_a_link_says_nothing(tmp_path: Path) -> None:
    project = tmp_path / "project"
    kit.write(project, {"a.py": ""})
    (tmp_path / "elsewhere").write_text("*.py")
    (project / ".gitignore").symlink_to("../elsewhere")
    assert "a.py" in travelling(project, rules())


@pytest.mark.parametrize("glob", ["*" * 60 + "b", "a*" * 30 + "b", "**/" * 30 + "b"])
def test_no_pattern_takes_for_ever(glob: str) -> None:
    path = "/".join(["a" * 30] * 30)
    assert Patterns("", [glob]).match(path, is_folder=False) is None
