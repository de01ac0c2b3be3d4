"""What a process of ours has to do with a terminal: nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

TELL = "from pipeline_runner.worker.apart import apart; print(*apart())"
WITH_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {TELL}"


def test_below_a_terminal_a_process_gets_a_session_of_its_own() -> None:
    ours, theirs = pty.openpty()
    try:
        told = subprocess.run(
            [sys.executable, "-c", WITH_TERMINAL],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            start_new_session=True,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert told.stdout.split() == ["start_new_session"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="only a session can be asked for")
def test_without_a_terminal_a_group_is_enough() -> None:
    told = subprocess.run(
        [sys.executable, "-c", TELL],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        start_new_session=True,
    )
    assert told.stdout.split() == ["process_group"]
