from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from pipeline_runner.events import DeadLettered, ItemFailed, Printed, WorkerStarted
from pipeline_runner.observe.live import Live
from pipeline_runner.observe.plain import Plain
from pipeline_runner.observe.ps import ps
from pipeline_runner.observe.screen import Blank, Screen
from pipeline_runner.observe.stream import Stream
from pipeline_runner.observe.summary import summary
from tests.observe.feed import edge, run, stage

if TYPE_CHECKING:
    from collections.abc import Callable


def printed(text: str) -> Printed:
    return Printed(0.0, "desk", "square", 0, 42, "stdout", text)


def dead(letter: int) -> DeadLettered:
    return DeadLettered(0.0, letter, "square", "i1", "desk", "ValueError: bad")


def failed(stage: str, attempt: int) -> ItemFailed:
    return ItemFailed(0.0, stage, "i1", attempt, 3, "ValueError: bad", 1.0)


def console(file: io.StringIO, *, colour: bool = False) -> Console:
    return Console(
        file=file,
        width=100,
        height=30,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
    )


@pytest.mark.parametrize(
    ("made", "shows"),
    [(lambda _file: Blank(), False), (Plain, True), (lambda file: Live(console(file)), True)],
    ids=["blank", "plain", "live"],
)
def test_every_screen_takes_a_whole_run(made: Callable[[io.StringIO], Screen], shows: bool) -> None:
    file = io.StringIO()
    screen = made(file)
    screen.event(printed("hello"))
    screen.snapshot(run())
    screen.close(run(state="finished"), 0)
    told = file.getvalue()
    screen.restore()
    assert ("hello" in told, "resize" in told) == (shows, shows)
    assert file.getvalue() == told, "a terminal is given back once"


class TestPlain:
    def test_it_writes_a_line_per_stage_every_ten_seconds(self) -> None:
        out = io.StringIO()
        screen = Plain(out)
        for quarter in range(4 * 31):
            stages = (stage("list", "source", out=quarter), *run().stages[1:])
            screen.snapshot(run(up_s=quarter / 4, stages=stages))
        lines = [line for line in out.getvalue().splitlines() if "resize" in line]
        assert [line.split()[0] for line in lines] == ["10s", "20s", "30s"]
        assert lines[0] == (
            "   10s resize  8/8 workers  queue 8.1k  in 100 (171/s)  out 100 (171/s)"
            "  busy 97%  failed 3  dead 1"
        )

    def test_it_uses_no_control_codes(self) -> None:
        out = io.StringIO()
        screen = Plain(out, verbose=True)
        screen.event(printed("\x1b[31mred\x1b[0m\r50%"))
        screen.event(dead(17))
        screen.snapshot(run(up_s=11))
        screen.close(run(state="finished"), 3)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out.getvalue())

    def test_it_prefixes_what_user_code_prints(self) -> None:
        out = io.StringIO()
        Plain(out).event(printed("hello"))
        assert out.getvalue() == "square[0] hello\n"

    def test_it_names_three_dead_letters_and_counts_the_rest(self) -> None:
        out = io.StringIO()
        screen = Plain(out, again=" -f a.toml")
        for letter in range(10):
            screen.event(dead(letter))
        screen.snapshot(run(up_s=11))
        lines = out.getvalue().splitlines()
        assert sum("errors show" in line for line in lines) == 3
        assert "square: 7 more dead letters  runner errors list -f a.toml" in lines

    def test_it_tells_of_a_stage_that_fails_at_the_first_failure(self) -> None:
        out = io.StringIO()
        screen = Plain(out, quiet=True)
        for attempt in (1, 2):
            screen.event(failed("square", attempt))
        screen.event(failed("upload", 1))
        assert [line.split(" ", 1)[1] for line in out.getvalue().splitlines()] == [
            "warning: square ValueError: bad  (attempt 1 of 3, again in 1.0s)",
            "warning: upload ValueError: bad  (attempt 1 of 3, again in 1.0s)",
        ]

    def test_a_dead_letter_is_a_first_failure_too(self) -> None:
        out = io.StringIO()
        screen = Plain(out)
        screen.event(dead(17))
        screen.event(failed("square", 1))
        assert out.getvalue().count("ValueError") == 1

    def test_verbose_tells_of_every_failure_once(self) -> None:
        out = io.StringIO()
        screen = Plain(out, verbose=True)
        for attempt in (1, 2):
            screen.event(failed("square", attempt))
        assert out.getvalue().count("ValueError") == 2

    def test_it_says_once_that_it_drains_and_for_what(self) -> None:
        out = io.StringIO()
        screen = Plain(out)
        for _ in range(3):
            screen.snapshot(run(state="draining", up_s=1))
        assert out.getvalue().count("waits for list (1 in work)") == 1

    def test_lines_that_say_the_same_come_ever_less_often(self) -> None:
        out = io.StringIO()
        screen = Plain(out)
        told = []
        for up_s in range(0, 3000, 10):
            before = out.tell()
            screen.snapshot(run(up_s=float(up_s)))
            if "upload" in out.getvalue()[before:]:
                told.append(up_s)
        assert told == [10, 20, 40, 80, 160, 320, 640, 1280, 1920, 2560]
        screen.snapshot(run(up_s=3200.0, stages=(stage("list", "source", out=9001),)))
        before = out.tell()
        screen.snapshot(run(up_s=3210.0))
        assert "upload" in out.getvalue()[before:], "what changed is told after ten seconds again"

    def test_a_stage_that_has_finished_has_no_line(self) -> None:
        out = io.StringIO()
        stages = (stage("list", "source", state="finished"), stage("upload", "sink"))
        Plain(out).snapshot(run(up_s=10.0, stages=stages))
        assert [line.split()[1] for line in out.getvalue().splitlines()[1:]] == ["upload"]

    def test_quiet_leaves_what_was_printed_and_what_went_wrong(self) -> None:
        out = io.StringIO()
        screen = Plain(out, quiet=True)
        screen.event(printed("hello"))
        screen.event(WorkerStarted(0.0, "desk", "square", 0, 42))
        screen.snapshot(run(up_s=11))
        screen.close(run(state="finished", dead_letters=0), 0)
        assert out.getvalue() == "square[0] hello\n"

    def test_verbose_tells_of_each_worker(self) -> None:
        out = io.StringIO()
        Plain(out, verbose=True).event(WorkerStarted(0.0, "desk", "square", 0, 42))
        assert "square[0] started on desk, pid 42" in out.getvalue()


class TestLive:
    def test_what_user_code_prints_comes_before_the_block(self) -> None:
        out = io.StringIO()
        screen = Live(console(out))
        screen.event(printed("hello"))
        screen.snapshot(run())
        text = out.getvalue()
        assert text.index("square[0] hello") < text.index("thumbs  up 14m02s")

    def test_a_dead_letter_stays_in_the_block_with_its_command(self) -> None:
        out = io.StringIO()
        screen = Live(console(out))
        screen.event(dead(17))
        screen.snapshot(run())
        text = out.getvalue()
        assert text.index("thumbs  up") < text.index("runner errors show 17")

    def test_a_flood_is_counted_instead_of_shown(self) -> None:
        out = io.StringIO()
        screen = Live(console(out))
        for i in range(5_000):
            screen.event(printed(f"line {i}"))
        screen.snapshot(run())
        assert "line 499" in out.getvalue()
        assert "line 500" not in out.getvalue()
        assert "4,500 more lines, too many to show" in out.getvalue()

    def test_close_shows_the_cursor_again_and_the_summary(self) -> None:
        out = io.StringIO()
        screen = Live(console(out))
        screen.snapshot(run())
        screen.event(printed("last words"))
        screen.close(run(state="finished"), 0)
        text = out.getvalue()
        assert text.endswith("\x1b[?25h")
        assert text.index("last words") < text.index("thumbs finished after 14m02s")

    def test_restore_after_close_writes_nothing(self) -> None:
        out = io.StringIO()
        screen = Live(console(out))
        screen.close(run(state="finished"), 0)
        before = out.getvalue()
        screen.restore()
        assert out.getvalue() == before

    def test_without_colour_there_is_none(self) -> None:
        out = io.StringIO()
        screen = Live(console(out))
        screen.event(dead(1))
        screen.snapshot(run())
        assert not re.search(r"\x1b\[[0-9;]*m", out.getvalue())

    def test_with_colour_there_is_some(self) -> None:
        out = io.StringIO()
        screen = Live(console(out, colour=True))
        screen.snapshot(run())
        assert "\x1b[1mthumbs\x1b[0m" in out.getvalue()
        assert "\x1b[1mSTAGE" in out.getvalue()


class TestSummary:
    def test_it_has_a_line_for_each_stage(self) -> None:
        lines = [line.plain for line in summary(run(state="finished"), 0, 100)]
        assert lines[0] == "thumbs finished after 14m02s"
        assert lines[1].split()[:7] == ["STAGE", "IN", "OUT", "FAILED", "DEAD", "TIME", "RATE"]
        assert lines[2].split()[:7] == ["list", "-", "9,000", "0", "0", "14m02s", "11/s"]

    def test_a_stage_is_timed_until_it_was_done(self) -> None:
        done = (stage("list", "source", state="finished", out=9000, done_s=90.0),)
        line = summary(run(state="finished", up_s=200.0, stages=done), 0, 100)[2].plain
        assert line.split()[5:7] == ["1m30s", "100/s"]

    def test_a_run_that_goes_on_is_as_fast_as_it_was_itself(self) -> None:
        over = stage("list", "source", state="finished", out=9000, earlier=9000, done_s=1.0)
        keep = stage("keep", "sink", state="finished", in_=9000, earlier=8000, done_s=10.0)
        final = run(state="finished", up_s=10.0, stages=(over, keep))
        rows = [line.plain.split() for line in summary(final, 0, 100)[2:4]]
        assert rows[0][:7] == ["list", "-", "9,000", "0", "0", "-", "-"]
        assert rows[1][:7] == ["keep", "9,000", "-", "0", "0", "10s", "100/s"]

    def test_it_says_what_to_run_when_dead_letters_are_left(self) -> None:
        final = run(state="finished", dead_letters=2)
        kept, retry = summary(final, 0, 100, again=" -f a.toml")[-2:]
        assert kept.plain == (
            "2 dead letters are kept, with payload and traceback: runner errors list -f a.toml"
        )
        assert retry.plain == (
            "once what failed is mended, while a run goes on: runner errors retry --all -f a.toml"
        )

    def test_it_says_which_source_gave_nothing(self) -> None:
        stages = (
            stage("list", "source", state="finished", out=0),
            stage("broken", "source", state="finished", out=0, failed=1, dead=1),
            stage("busy", "source", state="finished", out=1),
            stage("upload", "sink", state="finished", in_=1),
        )
        final = run(state="finished", stages=stages, dead_letters=0)
        lines = [line.plain for line in summary(final, 0, 100, again=" -f a.toml")]
        assert [line for line in lines if "no items" in line] == [
            "list gave no items; of the project it sees what `runner files -f a.toml` lists"
        ]

    def test_it_counts_what_was_lost(self) -> None:
        final = run(state="stopped", dead_letters=0)
        last = summary(final, 12, 100)[-1].plain
        assert last == "12 items lost: what was queued in memory is gone"


def test_ps_shows_stages_and_hosts_and_with_workers_each_process() -> None:
    lines = [line.plain for line in ps(run(edges=(edge("list", "resize", 5),)), 100)]
    assert any(line.startswith("└▶resize") for line in lines)
    assert any(line.startswith("desk*") for line in lines)
    assert not any("4001" in line for line in lines)
    lines = [line.plain for line in ps(run(), 100, workers=True)]
    assert any(line.split() == ["resize[1]", "desk", "4001", "running", "12s"] for line in lines)


class Broken(io.StringIO):
    tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise BrokenPipeError


def test_a_stream_whose_reader_is_gone_is_silent() -> None:
    broken = Broken()
    stream = Stream(broken)
    stream.write("first")
    stream.write("second")
    assert broken.tries == 1


@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "backslashreplace"])
def test_a_stream_draws_with_what_its_encoding_has_and_escapes_what_was_printed(
    errors: str,
) -> None:
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="ascii", errors=errors))
    stream.write("└▶resize ∞ é\n")
    stream.write("└▶é\n", exact=True)
    assert raw.getvalue() == b"`>resize 8 \\xe9\n\\u2514\\u25b6\\xe9\n"


def test_a_stream_shows_half_a_character_escaped() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="utf-8")
    Stream(file).write("é \udc80\n")
    assert raw.getvalue() == "é \\udc80\n".encode()
