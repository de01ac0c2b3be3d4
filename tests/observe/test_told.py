from __future__ import annotations

import pytest

from pipeline_runner import events
from pipeline_runner.observe.event_lines import tell

CASES = [
    (
        events.Printed(0, "desk", "square", 1, 42, "stdout", "\x1b[1mhello\x1b[0m\n"),
        ("printed", "hello", ""),
    ),
    (
        events.WorkerStarted(0, "desk", "square", 1, 42),
        ("detail", "square[1] started on desk, pid 42", ""),
    ),
    (
        events.WorkerExited(0, "desk", "square", 1, 42, "exit 0", expected=True),
        ("detail", "square[1] on desk ended: exit 0", ""),
    ),
    (
        events.WorkerExited(0, "desk", "square", 1, 42, "SIGKILL", expected=False),
        ("warning", "square[1] on desk ended: SIGKILL", ""),
    ),
    (
        events.WorkerFailing(0, "desk", "square", 1, 3, 4.0, "no PIL"),
        (
            "error",
            "square[1] on desk ended 3 times before it took work, next start in 4.0s: no PIL",
            "",
        ),
    ),
    (
        events.ItemFailed(0, "square", "i7", 1, 3, "ValueError: bad", 1.0),
        ("detail", "square ValueError: bad  (attempt 1 of 3, again in 1.0s)", ""),
    ),
    (
        events.DeadLettered(0, 17, "square", "i7", "desk", "ValueError: bad"),
        ("error", "desk square ValueError: bad", "runner errors show 17 -f a.toml"),
    ),
    (events.StageFinished(0, "square"), ("info", "square finished", "")),
    (
        events.Notice(0, "warning", "the disk is nearly full", "free some"),
        ("warning", "the disk is nearly full", "free some"),
    ),
]


@pytest.mark.parametrize(("event", "line"), CASES, ids=lambda case: type(case).__name__)
def test_every_event_has_its_line(event: events.Event, line: tuple[str, str, str]) -> None:
    told = tell(event, again=" -f a.toml")
    assert (told.weight, told.text, told.hint) == line


def test_what_user_code_prints_is_named_by_its_stage_and_index() -> None:
    assert tell(events.Printed(0, "desk", "square", 1, 42, "stderr", "x")).who == "square[1]"
