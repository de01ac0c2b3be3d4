"""With one process a stage and nothing retried, items arrive in the order they were made in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kit import chain, stage

if TYPE_CHECKING:
    from tests.e2e.kit import Project

FUNCTIONS = """\
from kept import note
from pipeline_runner import context


def numbers():
    for number in range(2_000):
        yield number if number % 3 else [number, bytes(200 if number % 100 else 90_000)]


def number_of(item):
    return item if isinstance(item, int) else item[0]


def same(item):
    return item


def batch(items):
    return items


def many(item):  # so many of some that they are sent ahead of their item's end
    number = number_of(item)
    for turn in range(9_000 if number % 500 in (100, 101) else 1):
        yield number, turn


class Order:
    def __init__(self):
        self.last, self.count, self.back = None, 0, []

    def __call__(self, item):
        place = tuple(item) if isinstance(item, tuple) else number_of(item)
        if self.last is not None and place < self.last:
            self.back.append((self.last, place))
        self.last = place
        self.count += 1

    def close(self):
        note(context().stage, self.count, self.back)
"""
MAPS = {"same": "", "batch": "batch = { count = 7 }", "many": ""}


def test_items_arrive_in_the_order_they_were_made_in(project: Project) -> None:
    document = stage("numbers", "functions:numbers")
    for name, settings in MAPS.items():
        document += stage(name, f"functions:{name}", settings)
        document += stage(f"of-{name}", "functions:Order")
        document += chain("numbers", name, f"of-{name}")
    project.write(FUNCTIONS, document)
    ended = project.up(within_s=90)
    assert ended.code == 0, ended.err
    assert sorted(project.notes()) == [
        ("of-batch", 2_000, []),
        ("of-many", 2_000 + 8 * 8_999, []),
        ("of-same", 2_000, []),
    ]
