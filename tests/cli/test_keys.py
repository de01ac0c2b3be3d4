"""``runner token`` and ``runner key``: secrets go to stdout alone, and nowhere else."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cluster import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Head

TOKEN = {"name": "squares", "token": "runner1-abc", "expires": 1_800_000_000}


@pytest.fixture(autouse=True)
def _own_keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("RUNNER_KEY", raising=False)


def test_a_token_is_the_only_line_on_stdout(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers["token"] = TOKEN
    ended = runner("token")
    assert ended.out == "runner1-abc\n"
    assert "lets one machine join squares until" in ended.err
    assert "runner1-abc" not in ended.err
    assert head.asked == [("token", {"valid_s": 600.0})]


def test_a_token_is_good_for_as_long_as_was_asked(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers["token"] = TOKEN
    assert json.loads(runner("token", "--valid", "2h", "--json").out) == TOKEN
    assert head.asked == [("token", {"valid_s": 7200.0})]
    for wrong, words in (("2", "needs its unit"), ("2d", "a day at most"), ("0s", "a day at most")):
        ended = runner("token", "--valid", wrong)
        assert ended.code == 2
        assert words in ended.err


def test_a_token_needs_a_head(runner: Callable[..., Any], project: Path, head: Head) -> None:
    ended = runner("token")
    assert (ended.code, ended.out) == (3, "")


def test_a_key_is_shown_once_there_is_one_and_looking_makes_none(
    runner: Callable[..., Any], project: Path
) -> None:
    ended = runner("key", "show")
    assert ended.code == 2
    assert "squares has no key yet" in ended.err
    made = identity.load_or_make("squares")
    ended = runner("key", "show")
    assert ended.out.encode() == made.key + b"\n"
    assert "keep it secret" in ended.err
    assert made.key.decode() not in ended.err


def test_a_key_of_the_environment_is_shown_as_it_counts(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_KEY", " sixteen bytes or more\n")
    assert runner("key", "show", "-q").out == "sixteen bytes or more\n"


def test_rotate_asks_the_head_that_runs_and_shows_no_key(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    before = identity.load_or_make("squares")
    head.answers["rotate"] = {"name": "squares", "hosts": 2, "former_s": 60.0}
    ended = runner("key", "rotate")
    assert ended.code == 0
    assert ended.out == ""
    assert "squares has a new key; 2 joined hosts got it" in ended.err
    assert "the old one is taken for 60 s more" in ended.err
    assert identity.load_or_make("squares") == before  # the head's business


def test_rotate_without_a_head_replaces_the_file_and_keeps_nothing_of_the_old_key(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    before = identity.load_or_make("squares")
    ended = runner("key", "rotate", "--json")
    assert json.loads(ended.out) == {"name": "squares", "hosts": 0, "former_s": 0.0}
    file = identity.key_file("squares")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
    after = identity.load_or_make("squares")
    assert after.key != before.key
    for key in (before.key, after.key):
        assert key.decode() not in ended.out + ended.err


def test_a_key_of_the_environment_is_not_rotated(
    runner: Callable[..., Any], project: Path, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_KEY", "sixteen bytes or more")
    ended = runner("key", "rotate")
    assert ended.code == 2
    assert "comes from RUNNER_KEY" in ended.err
    assert "sixteen bytes" not in ended.err
