"""What workers print, on its way to a head: in messages that it takes, kept while it is away."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline_runner.agent import reporting
from pipeline_runner.agent.reporting import Reporter
from pipeline_runner.wire.control_messages import Lines
from tests.e2e.kit import chain, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.e2e.kit import Project

PROCESS: Any = SimpleNamespace(slot=SimpleNamespace(stage="say", index=0), pid=42)
AWAY = "lines that were printed while no head was there"


class Head:
    """Takes what an agent sends, while it is there."""

    def __init__(self) -> None:
        self.is_there = True
        self.messages: list[Lines] = []

    def send(self, message: Any) -> bool:
        if self.is_there and isinstance(message, Lines):
            self.messages.append(message)
        return self.is_there

    @property
    def heard(self) -> list[str]:
        return [line.text for message in self.messages for line in message.lines]


def told(story: Callable[[Reporter, Head], None]) -> Head:
    """Run ``story``, then let what was collected go."""

    async def run() -> Head:
        head = Head()
        reporter = Reporter("desk", head.send)
        story(reporter, head)
        reporter.catch_up()
        return head

    return asyncio.run(run())


def prints(reporter: Reporter, lines: Sequence[str]) -> None:
    """Print as a pipe is read: a few lines at a time."""
    for start in range(0, len(lines), 500):
        reporter.printed(PROCESS, "stdout", lines[start : start + 500])


def test_a_flood_of_lines_goes_in_messages_that_a_head_takes() -> None:
    lines = [f"{number:_>100}" for number in range(100_000)]
    head = told(lambda reporter, _head: prints(reporter, lines))
    assert head.heard == lines
    assert max(len(msgspec.msgpack.encode(message)) for message in head.messages) < 512 * 1024
    assert len(head.messages) < 100


def test_what_is_printed_between_two_heads_is_told_to_the_next() -> None:
    def story(reporter: Reporter, head: Head) -> None:
        head.is_there = False
        prints(reporter, ["one", "two"])
        reporter.catch_up()
        head.is_there = True

    assert told(story).heard == ["one", "two"]


def test_of_a_flood_between_two_heads_the_end_is_kept_and_the_rest_counted() -> None:
    lines = [f"{number:_>100}" for number in range(100_000)]

    def story(reporter: Reporter, head: Head) -> None:
        head.is_there = False
        prints(reporter, lines)
        assert reporter._size_bytes <= reporting.MOST_KEPT_BYTES
        head.is_there = True

    notice, *kept = told(story).heard
    dropped = len(lines) - len(kept)
    assert notice == f"... {dropped:,} {AWAY}"
    assert kept == lines[dropped:]
    assert len(kept) > 5_000


SHOUTS = """\
import sys


def numbers():
    yield from range(3)


def shouts(number):
    if number == 1:
        sys.stdout.write("x" * 30_000_000 + "\\n")
        print("through")
"""


def test_thirty_megabytes_at_once_cost_nobody_his_connection(project: Project) -> None:
    stages = stage("numbers", "functions:numbers") + stage("shouts", "functions:shouts")
    project.write(SHOUTS, stages + chain("numbers", "shouts"))
    ended = project.up("--ui", "plain")
    assert ended.code == 0, ended.err
    assert "closed the connection" not in ended.err
    assert ended.stage("shouts")["in"] == 3
    assert project.logs("shouts")[-1]["text"] == "through"
