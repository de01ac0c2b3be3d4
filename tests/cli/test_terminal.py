from __future__ import annotations

import os
import pty
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from pipeline_runner.cli.options import CommonOptions
from pipeline_runner.cli.terminal import console, screen
from pipeline_runner.observe.live import Live
from pipeline_runner.observe.plain import Plain
from pipeline_runner.observe.screen import Blank
from tests.observe.feed import run

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_STAGES: Any = SimpleNamespace(stages={})


def common(colour: bool | None = None) -> CommonOptions:
    return CommonOptions(
        Path("pipeline.toml"), json=False, quiet=False, verbose=False, colour=colour
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0), os.fdopen(theirs, "w", encoding="utf-8") as file:
        yield file


def test_a_terminal_gets_the_live_view_and_a_pipe_plain_lines(
    terminal: TextIO, tmp_path: Path
) -> None:
    assert isinstance(screen("auto", common(), NO_STAGES, terminal), Live)
    with (tmp_path / "log").open("w") as pipe:
        assert isinstance(screen("auto", common(), NO_STAGES, pipe), Plain)


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(screen("auto", common(), NO_STAGES, terminal), Plain)


def test_what_was_asked_for_comes_before_what_is_there(terminal: TextIO) -> None:
    assert isinstance(screen("plain", common(), NO_STAGES, terminal), Plain)
    assert isinstance(screen("none", common(), NO_STAGES, terminal), Blank)


def test_colours_follow_the_terminal_unless_they_are_asked_for(
    terminal: TextIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "log").open("w") as pipe:
        assert console(pipe, None).color_system is None
        assert console(pipe, True).color_system is not None
    assert console(terminal, None).color_system is not None
    assert console(terminal, False).color_system is None
    monkeypatch.setenv("NO_COLOR", "1")
    assert console(terminal, True).color_system is not None


def test_the_live_view_survives_a_terminal_that_goes_away(tmp_path: Path) -> None:
    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        live = screen("live", common(), NO_STAGES, terminal)
        live.snapshot(run(up_s=842.0))
    live.snapshot(run(up_s=843.0))
    live.close(run(state="finished"), 0)
    shown = (tmp_path / "terminal").read_text(encoding="utf-8")
    assert "up 14m02s" in shown
    assert "up 14m03s" not in shown
