"""What fits together, and what is said where it does not."""

from __future__ import annotations

import queue
import socket
from collections import deque
from typing import Any

import pytest

from pipeline_runner.clusterer import BaseClient, BaseServer, i_wrap, io_wrap, o_wrap
from pipeline_runner.clusterer.wraps import work
from pipeline_runner.errors import NoHead, Refused, UsageError
from tests.queues.managers.serving import KEY, serving


class Local:
    """A queue of this process; ``full`` says how often a put finds no room first."""

    def __init__(self, *items: Any, full: int = 0) -> None:
        self.items = deque(items)
        self.full = full

    def get(self, *, timeout: float) -> Any:
        if not self.items:
            raise queue.Empty
        return self.items.popleft()

    def put(self, item: Any, *, timeout: float) -> None:
        if self.full:
            self.full -= 1
            raise queue.Full
        self.items.append(item)


@io_wrap
def half(x: int) -> float:
    return 1 / x


def turns(number: int) -> Any:
    left = iter(range(number))
    return lambda: next(left, None) is None


def test_a_wrapped_function_is_still_that_function() -> None:
    assert half(2) == 0.5
    assert half.__name__ == "half"


def test_each_item_becomes_one_result_in_order() -> None:
    taken, given = Local(1, 2, 4), Local()
    work(half, [taken, given], turns(5))
    assert list(given.items) == [1.0, 0.5, 0.25]


def test_an_item_that_raises_is_told_of_and_costs_only_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    taken, given = Local(1, 0, 2), Local()
    work(half, [taken, given], turns(3))
    assert list(given.items) == [1.0, 0.5]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_result_is_put_however_long_that_takes_before_a_stop_is_heard() -> None:
    given = Local(full=3)
    work(half, [Local(4, 8), given], turns(1))
    assert list(given.items) == [0.25]


def test_a_generating_function_ends_by_stop_iteration_and_its_errors_are_its_own() -> None:
    values = iter("ab")
    given = Local()
    work(i_wrap(lambda: next(values)), [given], lambda: False)
    assert list(given.items) == ["a", "b"]

    @i_wrap
    def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        work(broken, [given], lambda: False)


def test_what_a_taking_function_returns_goes_nowhere() -> None:
    seen: list[int] = []
    taken = Local(1, 2)

    @o_wrap
    def take(x: int) -> int:
        seen.append(x)
        return x

    work(take, [taken], turns(4))
    assert seen == [1, 2]
    assert not taken.items


def plain(x: int) -> int:
    return x


@pytest.mark.parametrize(
    ("funcs", "args", "numbers", "message"),
    [
        (plain, ["a"], 1, "plain is not joined to queues"),
        (half, ["a"], 1, "half has the queues"),
        (half, "ab", 1, "half has the queues 'ab'"),
        ([half], [["a", "b"], ["a", "b"]], [1], "1 functions, 2 lists of queues and 1 numbers"),
        ([half, half], [["a", "b"]], 1, "2 functions, 1 lists of queues and 2 numbers"),
    ],
)
def test_what_does_not_fit_together_is_said_before_anything_starts(
    funcs: Any, args: Any, numbers: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        BaseClient(("127.0.0.1", 1), authkey=KEY).process(funcs, args, numbers)


def test_a_client_says_what_keeps_it_from_its_server() -> None:
    with serving(["a"], ("127.0.0.1", 0)) as server:
        with pytest.raises(Refused, match="another key"):
            BaseClient(server.address, authkey=b"x").process(half, ["a", "b"])
        with pytest.raises(UsageError, match="no queue 'b'; there are: a"):
            BaseClient(server.address, authkey=KEY).process(half, ["a", "b"])
    with pytest.raises(NoHead, match="no server answers"):
        BaseClient(server.address, authkey=KEY).process(half, ["a", "b"])


def test_a_server_needs_queues_and_a_free_port() -> None:
    with pytest.raises(UsageError, match="no queues"):
        BaseServer(port=1, authkey=KEY).runserver()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            BaseServer(port=port, authkey=KEY, host="127.0.0.1").configure(["a"]).runserver()
