from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest

from pipeline_runner import __version__
from pipeline_runner.cli import app, main, output
from pipeline_runner.cli import project as place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_every_verb_has_help_in_words(runner: Callable[..., Any]) -> None:
    for name in app.VERBS:
        ended = runner(name, "--help")
        assert ended.code == 0
        assert ended.out.startswith(f"Usage: runner {name}")
        assert "--color" in ended.out or name in ("errors", "key", "queue")


def test_help_lists_the_verbs_in_their_order(runner: Callable[..., Any]) -> None:
    text = runner("--help").out
    assert re.findall(r"^  (\w+)  +[A-Z]", text, re.MULTILINE) == list(app.VERBS)


def test_what_a_verb_does_is_said_in_one_line_of_a_terminal(runner: Callable[..., Any]) -> None:
    for words in ((), ("errors",), ("queue",), ("key",)):
        lines = runner(*words, "--help").out.partition("Commands:")[2].splitlines()
        assert [line for line in lines if line.endswith("...")] == []


def test_an_option_that_is_misspelt_is_guessed_closest_first(runner: Callable[..., Any]) -> None:
    assert runner("up", "--locl").err.splitlines() == [
        "error: no such option '--locl'",
        "hint: did you mean --local or --color?  runner up --help",
    ]
    assert runner("plan", "--exitcode").err.splitlines()[1] == (
        "hint: did you mean --exit-code?  runner plan --help"
    )


CTRL_C = """\
import sys
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Impatient())
from pipeline_runner.cli import main
sys.exit(main(["ps"]))
"""


def test_ctrl_c_before_anything_was_begun_is_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CTRL_C], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_no_arguments_show_the_help_and_are_a_usage_error(runner: Callable[..., Any]) -> None:
    ended = runner()
    assert ended.code == 2
    assert "Commands:" in ended.err


def test_an_unknown_verb_gets_the_one_that_was_meant(runner: Callable[..., Any]) -> None:
    ended = runner("chekc")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(
        "error: `chekc` is not a verb of runner. Did you mean `runner check`?"
    )


def test_a_verb_nothing_like_any_gets_the_list(runner: Callable[..., Any]) -> None:
    assert "Verbs: init, check, plan" in runner("xyzzy").err


def test_an_unknown_option_says_which_verb_has_help(runner: Callable[..., Any]) -> None:
    ended = runner("check", "--no-imports")
    assert ended.code == 2
    assert "--no-import" in ended.err
    assert ended.err.endswith("  runner check --help\n")


def test_a_file_that_is_not_there_gets_a_cure(runner: Callable[..., Any], project: Path) -> None:
    ended = runner("check", "other.toml")
    assert ended.code == 2
    assert ended.err == "error: there is no other.toml\nhint: this folder has pipeline.toml\n"


def test_where_no_pipeline_is_init_is_the_cure(
    runner: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "runner init" in runner("check").err


def test_two_files_are_one_too_many(runner: Callable[..., Any], project: Path) -> None:
    ended = runner("check", "a.toml", "-f", "b.toml")
    assert ended.code == 2
    assert "two files are named: a.toml and b.toml" in ended.err


@pytest.mark.parametrize(
    ("arguments", "environ", "colour"),
    [
        ([], {}, None),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, None),
        ([], {"TERM": "dumb"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color=never"], {}, False),
        (["--color", "auto"], {"NO_COLOR": "1"}, False),
        (["--", "--color", "always"], {}, None),
    ],
)
def test_colour_is_what_was_asked_then_no_color_then_the_terminal(
    arguments: list[str], environ: dict[str, str], colour: bool | None
) -> None:
    assert output.wanted_colour(arguments, environ) is colour


def test_color_always_colours_a_pipe(runner: Callable[..., Any], project: Path) -> None:
    assert "\x1b[" in runner("check", "nope.toml", "--color", "always").err
    assert "\x1b[" not in runner("check", "nope.toml").err


def test_an_interrupt_ends_with_130(
    runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app.runner, "main", interrupted)
    assert runner("check").code == 130


def test_windows_is_told_about_wsl2(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["check"]) == 2
    assert "WSL2" in capfd.readouterr().err


def test_the_version_is_said(runner: Callable[..., Any]) -> None:
    assert runner("--version").out == f"runner {__version__}\n"
    assert runner("--version", "--help").code == 0


def loaded_by(code: str, **environ: str) -> set[str]:
    code += "\nimport sys; print('\\n', *sorted(sys.modules), sep='\\n', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    return set(done.stderr.split())


HEAVY = {"pydantic", "rich", "asyncio", "psutil", "msgspec", "importlib.metadata"}


def test_the_version_loads_nothing_heavy_not_even_click() -> None:
    loaded = loaded_by("from pipeline_runner.cli import main; main(['--version'])")
    assert "pipeline_runner.cli" in loaded
    assert not loaded & (HEAVY | {"click", "pathlib"})


@pytest.mark.parametrize("words", ["runner ", "runner up --u", "runner errors ", "runner why s"])
def test_completion_loads_nothing_heavy(words: str) -> None:
    loaded = loaded_by(
        "import sys; sys.argv = ['runner']\nfrom pipeline_runner.cli import main\n"
        "try: main([])\nexcept SystemExit: pass",
        _RUNNER_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert "click.shell_completion" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(runner: Callable[..., Any], shell: str) -> None:
    ended = runner("completion", shell)
    assert ended.code == 0
    assert "_RUNNER_COMPLETE" in ended.out


def test_completion_knows_the_stages(project: Path) -> None:
    context = click.Context(app.runner)
    argument = click.Argument(["stage"])
    assert place.stage_names(context, argument, "s") == ["square"]
    (project / "pipeline.toml").write_text("[half")
    assert place.stage_names(context, argument, "s") == []


def test_every_option_of_every_verb_says_what_it_is_for() -> None:
    context = click.Context(app.runner)
    for name in app.VERBS:
        command = app.runner.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str()
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.name)
