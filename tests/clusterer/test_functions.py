"""Who is to run what, and what does not get that far."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from multiprocessing import AuthenticationError, connection
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.clusterer import FunctionServer, i_wrap, io_wrap
from pipeline_runner.clusterer import functions as module
from pipeline_runner.clusterer.assignments import Assignments, duty
from pipeline_runner.clusterer.coordinator import MOST_UNKNOWN, Coordinator
from pipeline_runner.clusterer.process_pool import Job
from pipeline_runner.errors import UsageError
from pipeline_runner.plan.hosts import Host
from tests.e2e.kit import until

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"a key of 25 bytes or more"
GIB = 1024**3


@i_wrap
def make() -> int:
    return 1


@io_wrap
def double(x: int) -> int:
    return 2 * x


def host(name: str = "pi", **facts: Any) -> Host:
    given = {"os": "linux", "arch": "x86_64", "python": "3.11.0", "cores": 4, "memory": GIB}
    return Host(name, **{**given, **facts})


def duties(*rules: Any) -> Assignments:
    jobs = [Job(make, ("a",)), Job(double, ("a", "b"))]
    return Assignments([duty(job, rule) for job, rule in zip(jobs, rules, strict=True)])


HERE = __name__


def counts(work: list[tuple[str, tuple[str, ...], int]]) -> dict[str, int]:
    return {run.rpartition(":")[2]: count for run, _queues, count in work}


def test_a_number_is_so_many_on_each_client_and_an_expression_counts_its_cores() -> None:
    work = duties(1, "cores-1")
    assert work.joined(host("pi")) == "pi"
    assert work.joined(host("rig", cores=8)) == "rig"
    assert work.work("pi") == [(f"{HERE}:make", ("a",), 1), (f"{HERE}:double", ("a", "b"), 3)]
    assert counts(work.work("rig")) == {"make": 1, "double": 7}


def test_a_table_says_how_many_in_all_and_where() -> None:
    work = duties({"processes": 1, "constraints": ["label.disk == ssd"]}, {"processes": 3})
    work.joined(host("pi"))
    assert counts(work.work("pi")) == {"double": 3}
    assert work.homeless == {f"{HERE}:make": 1}
    work.joined(host("rig", labels={"disk": "ssd"}))
    assert counts(work.work("rig"))["make"] == 1
    assert work.homeless == {}


def test_clients_of_one_name_are_told_apart_and_what_one_ran_goes_to_others() -> None:
    work = duties({"processes": 1}, 2)
    assert [work.joined(host()), work.joined(host()), work.joined(host())] == ["pi", "pi-2", "pi-3"]
    (maker,) = [name for name in ("pi", "pi-2", "pi-3") if "make" in counts(work.work(name))]
    work.left(maker)
    rest = {"pi", "pi-2", "pi-3"} - {maker}
    assert sum(counts(work.work(name)).get("make", 0) for name in rest) == 1


@given(
    moves=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(1, 8)), max_size=12),
    total=st.integers(1, 9),
)
def test_a_total_is_held_through_every_coming_and_going(
    moves: list[tuple[bool, int, int]], total: int
) -> None:
    work = duties({"processes": total}, 1)
    here: list[str] = []
    for comes, which, cores in moves:
        if comes:
            here.append(work.joined(host(cores=cores)))
        elif here:
            work.left(here.pop(which % len(here)))
        made = [counts(work.work(name)) for name in here]
        assert sum(each.get("make", 0) for each in made) == (total if here else 0)
        assert all(each["double"] == 1 for each in made)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"timeout": "1s"}, "`timeout` says nothing of where make runs"),
        ({"processes": -1}, "`processes` of make"),
        ("core", "`per_host` of make"),
        ({"per_host": {"*": "core"}}, "`per_host` of make"),
        ({"constraints": ["cores = 4"]}, 'where make runs: "=" is no operator'),
        ({"affinity": [{"if": "disk"}]}, "where make runs"),
    ],
)
def test_a_rule_that_says_nothing_is_told_before_anything_runs(rule: Any, words: str) -> None:
    server = FunctionServer(authkey=KEY).configure(["a"])
    with pytest.raises(UsageError, match=words):
        server.distribute(make, ["a"], rule)


def test_what_does_not_fit_together_is_told_before_anything_runs() -> None:
    server = FunctionServer(authkey=KEY).configure(["a"])
    with pytest.raises(UsageError, match="no functions to run"):
        server.runserver()
    with pytest.raises(UsageError, match="there is no queue 'b'"):
        server.distribute(double, ["a", "b"], 1)
    with pytest.raises(UsageError, match="1 functions, 1 lists of queues and 2 numbers"):
        server.distribute(make, ["a"], [1, 2])
    with pytest.raises(UsageError, match="clients cannot import"):
        server.distribute(i_wrap(lambda: 1), ["a"])


def test_a_server_can_name_only_functions_that_are_joined_to_queues() -> None:
    assert module.job(f"{HERE}:double", ["a", "b"]) == Job(double, ("a", "b"))
    with pytest.raises(UsageError, match="system is not joined to queues"):
        module.job("os:system", ["a"])
    with pytest.raises(UsageError, match="double has the queues"):
        module.job(f"{HERE}:double", ["a"])
    for wrong in ("nowhere:f", "os:nothing", "os", ":f", ""):
        with pytest.raises(UsageError, match=r"which is not here|is not joined"):
            module.job(wrong, ["a"])


@contextmanager
def foreman(work: Assignments) -> Iterator[tuple[str, int]]:
    """Run a foreman on a loop in a thread; give its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    ends: list[Any] = []
    told = Coordinator(listener, KEY, work, 4711)
    loop.call_soon_threadsafe(lambda: ends.append(told.begin(loop)))
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(lambda: ends[0]())

        async def rest() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(rest(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def facts(name: str) -> bytes:
    known = host(name)
    return json.dumps(
        {each: getattr(known, each) for each in ("name", "os", "arch", "python", "cores", "memory")}
    ).encode()


def test_a_stock_client_with_the_key_is_told_its_work_and_told_anew() -> None:
    work = duties({"processes": 1}, 2)
    with foreman(work) as address, connection.Client(address, authkey=KEY) as line:
        line.send_bytes(facts("pi"))
        assert json.loads(line.recv_bytes()) == {
            "queues": 4711,
            "work": [[f"{HERE}:make", ["a"], 1], [f"{HERE}:double", ["a", "b"], 2]],
        }
        with connection.Client(address, authkey=KEY) as other:
            other.send_bytes(facts("rig"))
            assert json.loads(other.recv_bytes())["work"]
        until(lambda: list(work._clients) == ["pi"], "the other has left")
        assert line.poll(0) in (True, False)


def test_a_client_without_the_key_hears_so_and_nothing_else() -> None:
    work = duties(1, 1)
    with foreman(work) as address, pytest.raises(AuthenticationError):
        connection.Client(address, authkey=b"another key")
    assert work._clients == {}


@pytest.mark.parametrize(
    "words", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\xff" + bytes(12), b"\x7f\xff\xff\xff"]
)
def test_who_says_nonsense_is_let_go_and_the_next_is_served(words: bytes) -> None:
    work = duties(1, 1)
    with foreman(work) as address:
        with socket.create_connection(address) as stranger:
            stranger.sendall(words)
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(1000):
                continue
        with connection.Client(address, authkey=KEY) as line:
            line.send_bytes(facts("pi"))
            assert line.recv_bytes()


def test_facts_that_are_none_are_refused_behind_the_key_too() -> None:
    work = duties(1, 1)
    with foreman(work) as address:
        for wrong in (b"{}", b"no json", b'{"name": 1}', bytes(100_000)):
            with connection.Client(address, authkey=KEY) as line:
                line.send_bytes(wrong)
                with pytest.raises((EOFError, ConnectionResetError)):
                    line.recv_bytes()
    assert work._clients == {}


def test_silent_connections_keep_nobody_out_for_long() -> None:
    work = duties(1, 1)
    with foreman(work) as address:
        silent = [socket.create_connection(address) for _ in range(MOST_UNKNOWN)]
        try:
            silent[0].close()  # one that gives up makes room

            def served() -> bool:
                try:
                    with connection.Client(address, authkey=KEY) as line:
                        line.send_bytes(facts("pi"))
                        return bool(line.recv_bytes())
                except (EOFError, OSError):
                    return False

            assert until(served, "a client is served")
        finally:
            for each in silent:
                each.close()
