from __future__ import annotations

import ast
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import Example, Started


def _values(lines: list[str], stage: str, word: str) -> list[int]:
    marks = [f"{stage}[{index}] {word} " for index in range(2)]
    return [
        int(line[len(mark) :])
        for line in lines
        for mark in marks
        if line.startswith(mark) and not line.endswith("}")
    ]


def _generated(lines: list[str]) -> list[int]:
    mark = "generate[0] "
    return [ast.literal_eval(line[len(mark) :])["number"] for line in lines if mark in line]


def test_ctrl_c_ends_it_with_everything_printed_and_nothing_left_behind(
    example: Callable[[str], Example], start: Callable[[Example], Started]
) -> None:
    numbers = example("numbers")
    before = numbers.files()
    run = start(numbers)
    lines = run.read_until(lambda lines: len(_values(lines, "print", "Print")) >= 2)
    processes = run.processes()
    code, rest = run.end(signal.SIGINT)
    lines += rest.splitlines()

    assert code == 0, lines
    assert "Traceback" not in "\n".join(lines)
    made = sorted(_generated(lines))
    assert len(made) >= 2
    assert sorted(_values(lines, "subtract", "Subtract")) == [n * n for n in made]
    assert sorted(_values(lines, "print", "Print")) == [n * n - 1 for n in made]
    assert len(processes) >= 7  # head, agent, five workers
    assert not [process for process in processes if process.is_running()]
    assert numbers.files() == before
