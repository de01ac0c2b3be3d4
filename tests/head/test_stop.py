"""Which signals are one wish and which are two, and what the shell sees in the end."""

from __future__ import annotations

import signal

import pytest

from pipeline_runner.head.stop import Stop


def test_a_second_ctrl_c_counts_from_a_fifth_of_a_second_on() -> None:
    stop = Stop()
    told = [stop.signalled(signal.SIGINT, at) for at in (0.0, 0.05, 0.19, 0.2, 0.3)]
    assert told == ["drain", "nothing", "nothing", "now", "now"]


@pytest.mark.parametrize(
    ("by", "left", "dead", "failed", "code"),
    [
        (None, 0, False, False, 0),
        (None, 3, False, False, 1),
        (None, 0, True, False, 1),
        (None, 0, False, True, 1),
        (signal.SIGINT, 0, False, False, 0),
        (signal.SIGINT, 3, False, False, 130),
        (signal.SIGINT, 3, True, True, 130),
        (signal.SIGINT, 0, True, False, 1),
        (signal.SIGTERM, 0, False, False, 0),
        (signal.SIGTERM, 3, False, False, 1),
    ],
)
def test_only_a_run_that_everything_went_through_ends_with_0(
    by: signal.Signals | None, left: int, dead: bool, failed: bool, code: int
) -> None:
    stop = Stop(failed=failed)
    if by is not None:
        stop.signalled(by, 0.0)
    assert stop.exit_code(left=left, dead=dead) == code
