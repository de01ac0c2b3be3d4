from __future__ import annotations

import os
import pty
import signal
import termios
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.observe.tty import Tty
from tests.e2e.kit import until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: a person's, and a program's."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def echoes(program: int) -> bool:
    return bool(termios.tcgetattr(program)[3] & termios.ECHO)


def test_keys_come_one_by_one_and_unseen_until_the_terminal_is_given_back(
    ends: tuple[int, int],
) -> None:
    person, program = ends
    typed: list[str] = []
    tty = Tty(program, program, typed.append, lambda: None)
    tty.hold()
    assert not echoes(program)
    os.write(person, b"ab")
    until(lambda: typed == ["a", "b"], "keys are read without an Enter")
    tty.release()
    assert echoes(program)
    tty.release()
    os.write(person, b"c\n")
    assert os.read(program, 9) == b"c\n", "what comes later is for who comes later"


def test_a_stop_waits_for_the_frame_that_is_drawn(ends: tuple[int, int]) -> None:
    _person, program = ends
    seen: list[str] = []
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    tty = Tty(program, None, lambda _key: None, lambda: seen.append("back"))
    tty.hold()
    try:
        # A group that no shell looks after does not stop: it goes on at once.
        tty._stop = lambda: seen.append("stops")  # type: ignore[method-assign]
        with tty.drawing():
            signal.raise_signal(signal.SIGTSTP)
            seen.append("drawn")
        signal.raise_signal(signal.SIGTSTP)
    finally:
        tty.release()
        signal.signal(signal.SIGTSTP, before)
    assert seen == ["drawn", "stops", "stops"]
