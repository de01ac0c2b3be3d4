"""Functions that are not plain functions: what a call of them gives is what counts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.worker.call import kind_of, target
from tests.e2e.kit import chain, stage
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.e2e.kit import Ended, Project

FUNCTIONS = """\
import functools

from kept import note


def numbers():
    yield from range(3)


def as_list(function):
    @functools.wraps(function)
    def wrapper(item):
        return list(function(item))
    return wrapper


def passed_on(function):
    @functools.wraps(function)
    def wrapper(item):
        return function(item)
    return wrapper


def generated(function):
    @functools.wraps(function)
    def wrapper(item):
        yield function(item)
    return wrapper


def awaited(function):
    @functools.wraps(function)
    async def wrapper(item):
        return function(item)
    return wrapper


class Counting:
    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, item):
        return self.function(item)


def twice(item):
    yield item
    yield -item


def bound(stage, item):
    yield note(stage, item)


async def bound_later(stage, item):
    note(stage, item)


gathers = as_list(twice)
passes = passed_on(passed_on(twice))
counts = Counting(twice)


@generated
def wraps_plain(item):
    return note("wraps_plain", item)


@awaited
def waits(item):
    return note("waits", item)


partly = functools.partial(bound, "partly")
partly_later = functools.partial(bound_later, "partly_later")
"""
MAPS = {
    "gathers": [[0, 0], [1, -1], [2, -2]],
    "passes": [-2, -1, 0, 0, 1, 2],
    "counts": [-2, -1, 0, 0, 1, 2],
}
SINKS = ("wraps_plain", "waits", "partly", "partly_later")


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Project, Ended]]:
    document = stage("numbers", "functions:numbers")
    for name in MAPS:
        document += stage(name, f"functions:{name}") + chain("numbers", name, f"of-{name}")
        document += stage(f"of-{name}", "kept:keep")
    for name in SINKS:
        document += stage(name, f"functions:{name}") + chain("numbers", name)
    with fresh_project() as project:
        project.write(FUNCTIONS, document)
        yield project, project.up(within_s=90)


@pytest.mark.parametrize("name", MAPS)
def test_what_a_decorator_made_of_a_generator_is_passed_on(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, ended = ran
    assert sorted(project.kept(f"of-{name}")) == MAPS[name], ended.err


@pytest.mark.parametrize("name", SINKS)
def test_a_sink_that_is_only_iterated_or_awaited_behind_a_wrapper_runs(
    ran: tuple[Project, Ended], name: str
) -> None:
    project, ended = ran
    assert sorted(note[1] for note in project.notes() if note[0] == name) == [0, 1, 2]
    assert ended.code == 0, ended.err


def plain(item: Any) -> Any:
    return item


def generator(item: Any) -> Iterator[Any]:
    yield item


async def coroutine(item: Any) -> Any:
    return item


async def asyncgen(item: Any) -> AsyncIterator[Any]:
    yield item


class Called:
    def __call__(self, item: Any) -> Iterator[Any]:
        yield item

    @staticmethod
    async def static(item: Any) -> Any:
        return item

    async def method(self, item: Any) -> Any:
        return item


def wrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(item: Any) -> Any:
        return function(item)

    return wrapper


def around_itself() -> Callable[..., Any]:
    def turn(item: Any) -> Any:
        return item

    turn.__wrapped__ = turn  # type: ignore[attr-defined]
    return turn


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (plain, "plain"),
        (generator, "generator"),
        (coroutine, "async"),
        (asyncgen, "asyncgen"),
        (functools.partial(functools.partial(generator), 1), "generator"),
        (functools.partial(wrapping(coroutine)), "async"),
        (wrapping(wrapping(asyncgen)), "asyncgen"),
        (functools.lru_cache(generator), "generator"),
        (functools.wraps(generator)(coroutine), "async"),
        (functools.wraps(coroutine)(lambda item: item), "async"),
        (Called(), "generator"),
        (Called, "generator"),
        (Called.static, "async"),
        (Called().method, "async"),
        (vars(Called)["static"], "async"),
        (len, "plain"),
        (str.upper, "plain"),
        (around_itself(), "plain"),
    ],
)
def test_the_kind_of_a_callable_is_found_through_what_is_around_it(found: Any, kind: str) -> None:
    assert target(found).kind == kind
    if not isinstance(found, (type, Called)):
        assert kind_of(found) == kind
