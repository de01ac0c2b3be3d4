"""Standard streams as they come: closed, unread, or of an encoding that knows little."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import RUNNER, chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
import sys

from kept import keep


def numbers():
    yield from range(200)


def say(number):
    print("n\\u00famero", number, "\\u2192")
    print("\\u00e9", file=sys.stderr)
    keep(number)


def fails(number):
    raise ValueError("n\\u00famero")
"""
NARROW = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(project: Project, line: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in the project's folder; ``$R`` is the command."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=project.root,
        env={**os.environ, "RUNNER_LOCAL": "1", "R": RUNNER, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def written(project: Project) -> Project:
    document = stage("numbers", "functions:numbers") + stage("say", "functions:say")
    project.write(FUNCTIONS, document + chain("numbers", "say"))
    return project


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "2>&- >&- <&-"])
def test_a_run_goes_on_whatever_is_closed(written: Project, closed: str) -> None:
    ended = shell(written, f"$R up --ui plain {closed}")
    assert ended.returncode == 0, ended.stderr
    assert len(written.kept("say")) == 200
    if closed == "2>&-":
        assert ended.stdout.count("número".encode()) == 200


def test_what_is_said_is_never_written_into_a_file_of_the_run(written: Project) -> None:
    file = written.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', '"fsync"'))
    assert shell(written, "$R up --ui plain 2>&- >&-").returncode == 0
    assert shell(written, "$R up --ui plain").returncode == 0
    assert len(written.notes()) == 400


@pytest.mark.parametrize("words", ["", "--json", "--ui live"])
def test_a_reader_that_has_seen_enough_ends_no_run_and_changes_no_exit_code(
    written: Project, words: str
) -> None:
    line = f"$R up {words} 2>&1 | read -n 1; exit ${{PIPESTATUS[0]}}"
    assert shell(written, line).returncode == 0
    assert len(written.kept("say")) == 200
    file = written.root / "pipeline.toml"
    file.write_text(file.read_text().replace("functions:say", "functions:fails"))
    assert shell(written, line).returncode == 1


def test_check_has_its_exit_code_though_nobody_reads_its_report(written: Project) -> None:
    file = written.root / "pipeline.toml"
    file.write_text(file.read_text() + "[nonsense]\n")
    line = "$R check --no-import --json | true; exit ${PIPESTATUS[0]}"
    assert shell(written, line).returncode == 1


def test_prints_and_screens_pass_where_the_locale_knows_only_ascii(written: Project) -> None:
    ended = shell(written, "$R up --ui plain", **NARROW)
    assert ended.returncode == 0, ended.stderr
    assert len(written.kept("say")) == 200
    assert ended.stdout.count(rb"n\xfamero") == ended.stdout.count(rb"\u2192") == 200
    assert ended.stderr.count(rb"\xe9") == 200
    assert b"`>say " in ended.stderr, "a screen of ASCII"
    assert len(json.loads(shell(written, "$R up --json --ui none", **NARROW).stdout)["stages"]) == 2
    file = written.root / "pipeline.toml"
    file.write_text(file.read_text().replace("functions:say", "functions:sáy"))
    checked = shell(written, "$R check --no-import; $R check; $R plan", **NARROW)
    assert "functions has no `sáy`".encode() in checked.stdout, "click writes UTF-8 there"
    assert b"Traceback" not in checked.stderr
    file.write_text(file.read_text().replace("functions:sáy", "functions:fails"))
    assert shell(written, "$R up --ui plain", **NARROW).returncode == 1
    listed = shell(written, "$R errors list; $R errors show 1", **NARROW)
    assert rb"n\xfamero" in listed.stdout
    assert b"Traceback" not in listed.stderr
