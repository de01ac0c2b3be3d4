"""A source's callable as one iterator, whatever its kind."""

from __future__ import annotations

import functools
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.wire.messages import Cursor
from pipeline_runner.worker.call import target
from pipeline_runner.worker.loops.source_values import SourceValues
from pipeline_runner.worker.values import END, At

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def three() -> Iterator[int]:
    yield from (1, 2, 3)


async def three_later() -> AsyncIterator[int]:
    for value in (1, 2, 3):
        yield value


def marked(cursor: int | None) -> Iterator[At]:
    start = 0 if cursor is None else cursor
    for value in range(start, 3):
        yield At(value, value + 1)


def careless(cursor: int | None) -> Iterator[int]:
    yield 5 if cursor is None else cursor


class Countdown:
    def __init__(self) -> None:
        self.left = 3

    def __call__(self) -> Any:
        self.left -= 1
        return self.left if self.left >= 0 else END


@pytest.mark.parametrize("function", [three, three_later])
def test_a_counted_generator_is_iterated_past_what_is_kept(function: Any) -> None:
    feed = SourceValues(target(function), again=False)
    assert list(feed.values(Cursor(count=2))) == [3]
    assert feed.replays


@pytest.mark.parametrize("function", [three, three_later])
def test_a_live_feed_is_never_iterated_past_anything(function: Any) -> None:
    feed = SourceValues(target(function), again=True)
    assert list(feed.values(Cursor(count=2))) == [1, 2, 3]
    assert not feed.replays


def test_a_cursor_is_handed_back_as_the_source_gave_it() -> None:
    feed = SourceValues(target(marked), again=False)
    values = list(feed.values(Cursor(count=99, mark=pickle.dumps(1))))
    assert [(at.value, at.cursor) for at in values] == [(1, 2), (2, 3)]


def test_a_cursor_source_that_forgets_its_cursor_is_told_so() -> None:
    with pytest.raises(TypeError, match=r"yields At\(value, cursor\), not int"):
        next(SourceValues(target(careless), again=False).values(Cursor()))


def test_a_plain_function_is_called_until_it_returns_end() -> None:
    feed = SourceValues(target(Countdown), again=False)
    assert list(feed.values(Cursor(count=2))) == [2, 1, 0]
    assert not feed.replays


def returns_generator() -> Iterator[int]:
    return (value for value in (1, 2, 3))


def returns_iterator() -> Iterator[int]:
    return iter([1, 2, 3])


def returns_asyncgen() -> AsyncIterator[int]:
    return three_later()


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (returns_generator, "generator"),
        (returns_iterator, "list_iterator"),
        (returns_asyncgen, "async_generator"),
    ],
)
def test_a_plain_function_that_returns_an_iterator_is_not_called_for_ever(
    function: Any, kind: str
) -> None:
    with pytest.raises(TypeError, match=f"a source returned a {kind}, .*yield from"):
        next(SourceValues(target(function), again=False).values(Cursor()))


def test_a_generator_function_with_some_arguments_given_is_a_generator() -> None:
    feed = SourceValues(target(functools.partial(range_to, 4, start=1)), again=False)
    assert list(feed.values(Cursor(count=1))) == [2, 3]
    assert feed.replays


def range_to(end: int, start: int) -> Iterator[int]:
    yield from range(start, end)
