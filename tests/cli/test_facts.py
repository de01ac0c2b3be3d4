"""The verbs that ask a head, or read what one left."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cli.project import state_dir
from pipeline_runner.queues import dead_letters
from pipeline_runner.queues.broker.transaction import Letter
from tests.observe.feed import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Head


def test_ps_draws_the_run(runner: Callable[..., Any], project: Path, head: Head) -> None:
    head.answers["ps"] = run().as_json()
    ended = runner("ps")
    assert ended.code == 0
    assert "thumbs  up 14m02s" in ended.out
    assert "└▶resize" in ended.out
    assert "\x1b" not in ended.out


def test_ps_json_is_what_the_head_said(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers["ps"] = run().as_json()
    facts = json.loads(runner("ps", "--json").out)
    assert facts["name"] == "thumbs"
    assert {"in", "out", "failed", "dead"} <= facts["stages"][0].keys()


def test_ps_without_a_head_exits_3_with_a_hint(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    ended = runner("ps")
    assert ended.code == 3
    assert ended.err == "error: no head of this pipeline runs here\nhint: runner up\n"


def test_ps_works_while_the_file_is_wrong(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers["ps"] = run().as_json()
    file = project / "pipeline.toml"
    file.write_text(file.read_text() + "\n[stages.half]\n")
    assert runner("ps").code == 0


def test_ps_works_while_the_file_is_no_toml_if_one_head_left_its_address(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers["ps"] = run().as_json()
    (project / "pipeline.toml").write_text("[pipeline\n")
    assert runner("ps").code == 1
    state = project / ".runner" / "squares"
    state.mkdir(parents=True)
    (state / "head.json").write_text("{}")
    assert runner("ps").code == 0


def test_why_prints_the_words_of_the_head(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers["why"] = {"explanation": {"stage": "square"}, "text": ["square: 2 of 2", "desk"]}
    assert runner("why", "square").out == "square: 2 of 2\ndesk\n"
    assert head.asked == [("why", {"stage": "square"})]
    assert json.loads(runner("why", "square", "--json").out) == {"stage": "square"}


def test_down_waits_until_no_head_answers(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers = {"down": {}, "ps": [run(state="draining").as_json()]}
    ended = runner("down")
    assert ended.code == 0
    assert head.asked == [("down", {"now": False}), ("ps", {}), ("ps", {})]
    assert "waits for list (1 in work)" in ended.err
    assert ended.err.endswith("stopped\n")


def test_down_does_not_wait_for_a_head_that_was_killed(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers = {"down": {}}
    state = project / ".runner" / "squares"
    state.mkdir(parents=True)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    (state / "head.json").write_text(json.dumps({"pid": int(gone.stdout)}))
    assert runner("down").code == 0


def test_down_now_needs_a_yes_where_nobody_can_be_asked(
    runner: Callable[..., Any],
    project: Path,
    head: Head,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head.answers = {"down": {}}
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    ended = runner("down", "--now")
    assert ended.code == 2
    assert "add --yes if you mean it" in ended.err
    assert head.asked == []
    assert runner("down", "--now", "--yes", "--no-wait").code == 0
    assert head.asked == [("down", {"now": True})]


@pytest.fixture
def letters(project: Path) -> Callable[..., None]:
    """Writes a letter of this number into the state folder; no head is needed to read it."""
    state = state_dir(project / "pipeline.toml")

    def write(number: int, **facts: Any) -> None:
        known = {
            "letter": number,
            "run": "run-1",
            "stage": "square",
            "edge": "generate->square",
            "body": 7,
            "index": number,
            "attempts": 3,
            "host": "desk",
            "pid": 42,
            "release": "",
            "cause": "raised",
            "error": "ValueError: bad",
            "traceback": 'Traceback ...\n  File "functions.py", line 6\nValueError: bad',
            "item": pickle.dumps({"name": "x.heic"}),
        }
        dead_letters.append(state, 1_700_000_000.0, [Letter(**{**known, **facts})])

    return write


def test_errors_list_has_a_line_for_each_letter_and_the_next_command(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    letters(18)
    letters(17)
    ended = runner("errors", "list")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["ID", "17", "18"]
    assert ended.err == (
        "look at one:  runner errors show 18\nonce mended:  runner errors retry --all\n"
    )


def test_errors_list_of_none_says_so(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    assert runner("errors", "list").err == "no dead letters\n"
    assert json.loads(runner("errors", "list", "--json").out) == []


def test_errors_show_has_the_payload_and_the_traceback(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    letters(17)
    text = runner("errors", "show", "17").out
    assert "{'name': 'x.heic'}" in text
    assert text.endswith("ValueError: bad\n")
    facts = json.loads(runner("errors", "show", "17", "--json").out)
    assert facts["payload"] == "{'name': 'x.heic'}"
    assert facts["traceback"].startswith("Traceback")
    assert facts["item_id"] == "run-1:generate->square:7:17"


def test_errors_show_says_why_a_payload_cannot_be_read(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    letters(17, item=b"\x80\x04capp\nThing\n.")
    text = runner("errors", "show", "17").out
    assert "<cannot be read here: ModuleNotFoundError: No module named 'app'>" in text


def test_errors_show_outlives_an_item_that_kills_who_decodes_it(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    letters(17, item=b"\x80\x04cos\nabort\n)R.")
    text = runner("errors", "show", "17").out
    assert "decoding it kills the process (SIGABRT); it has 15 bytes and is made with" in text
    assert "os.abort" in text
    assert "ValueError: bad" in text


def test_errors_list_of_many_tells_how_many_there_are_of_each_exception(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    for number in range(1, 61):
        letters(number, error="KeyError: 'x'" if number % 3 else f"ValueError: {number}")
    ended = runner("errors", "list")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["COUNT", "40", "20"]
    assert "60 dead letters of 2 kinds; one by one: runner errors list --page 1" in ended.err
    groups = json.loads(runner("errors", "list", "--grouped", "--json").out)
    assert [(g["count"], g["exception"], g["newest"]) for g in groups] == [
        (40, "KeyError", 59),
        (20, "ValueError", 60),
    ]


def test_errors_list_has_pages(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    for number in range(1, 61):
        letters(number, stage="square" if number > 5 else "other")
    second = runner("errors", "list", "--page", "2")
    assert [line.split()[0] for line in second.out.splitlines()[1:]] == [
        str(n) for n in range(51, 61)
    ]
    assert "page 2 of 2, 60 dead letters in all" in second.err
    some = runner("errors", "list", "--limit", "2", "--stage", "other")
    assert [line.split()[0] for line in some.out.splitlines()[1:]] == ["1", "2"]
    assert "page 1 of 3, 5 dead letters in all: runner errors list --page 2 --limit 2" in some.err
    facts = json.loads(runner("errors", "list", "--json", "--limit", "7", "--page", "9").out)
    assert [each["letter"] for each in facts] == [57, 58, 59, 60]
    assert len(json.loads(runner("errors", "list", "--json").out)) == 60
    ended = runner("errors", "list", "--page", "3")
    assert (ended.code, ended.err) == (2, "error: there is no page 3\nhint: the last is 2\n")


def test_errors_show_falls_back_on_the_text_of_what_never_was_bytes(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    letters(17, item=None, shown="<a lock>")
    assert "<a lock>" in runner("errors", "show", "17").out


def test_errors_show_of_another_number_says_which_there_are(
    runner: Callable[..., Any], project: Path, letters: Callable[..., None]
) -> None:
    letters(3)
    letters(9)
    ended = runner("errors", "show", "4")
    assert ended.code == 2
    assert ended.err == (
        "error: there is no dead letter 4\nhint: there is 3 to 9: runner errors list\n"
    )


def test_plan_against_nothing_starts_everything(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    ended = runner("plan")
    assert ended.code == 0
    assert [line.split()[1] for line in ended.out.splitlines() if "start" in line] == [
        "generate",
        "square",
        "collect",
    ]
    assert ended.err == "Nothing runs yet.  Start it: runner up\n"
    assert runner("plan", "--exit-code").code == 10


def running(project: Path, **slots: list[int]) -> dict[str, Any]:
    host = {"name": "desk", "os": "linux", "arch": "x86_64", "python": "3.11.4", "cores": 4,
            "memory": 8 * 1024**3, "head": True}  # fmt: skip
    text = (project / "pipeline.toml").read_text()
    return {"slots": {"desk": slots}, "hosts": [host], "text": text}


def test_plan_shows_the_difference_to_what_runs(
    runner: Callable[..., Any], project: Path, head: Head
) -> None:
    head.answers["ps"] = run(edges=()).as_json()
    head.answers["plan"] = running(project, generate=[0], square=[0, 1], collect=[0])
    ended = runner("plan", "--exit-code")
    assert (ended.code, ended.out, ended.err) == (0, "", "Nothing would change.\n")
    file = project / "pipeline.toml"
    file.write_text(file.read_text().replace("processes = 2", "processes = 3"))
    ended = runner("plan", "--exit-code")
    assert ended.code == 10
    assert "~ square  desk  2 -> 3  start 1" in ended.out
    change = json.loads(runner("plan", "--json").out)[0]
    assert (change["change"], change["stage"], change["start"]) == ("workers", "square", 1)
