"""Servers and clients that find each other, and clients that are told what to run."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.clusterer.programs import EXAMPLE, Started, numbers
from tests.e2e.kit import marked, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "authkey=b'a long password: 25 bytes'"


@pytest.fixture
def started(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Started]:
    """The programs, with a key and a port that nobody else has."""
    own = f"authkey=b'{secrets.token_hex(16)}'"
    for path in EXAMPLE.glob("*.py"):
        text = path.read_text().replace("sleep(2)", "sleep(.05)")
        port = ",port=0" if "_server" in path.name else ""
        (tmp_path / path.name).write_text(text.replace(KEY, own + port))
    processes = Started(tmp_path, re.sub(r"\W", "", request.node.name))
    try:
        yield processes
        until(lambda: not marked(processes.mark), "no process is left", within_s=10)
    finally:
        processes.end()


def rewrite(started: Started, name: str, change: Callable[[str], str]) -> None:
    path = started.folder / f"{name}.py"
    path.write_text(change(path.read_text()))


def ctrl_c(*popens: object) -> None:
    for popen in popens:
        os.killpg(popen.pid, signal.SIGINT)  # type: ignore[attr-defined]
        assert popen.wait(timeout=15) == 0  # type: ignore[attr-defined]


def test_a_client_finds_its_server_whichever_is_started_first(started: Started) -> None:
    client = started.python("broadcast_client")
    until(lambda: "no server answers yet on lo" in started.out("broadcast_client"), "it waits")
    server = started.server("broadcast_server")
    until(lambda: len(numbers(started.out("broadcast_client"), "Print")) >= 3, "numbers come out")
    ctrl_c(client, server)
    out = started.out("broadcast_client")
    assert "Traceback" not in out + started.out("broadcast_server")
    assert out.count("no server answers yet") == 1


def test_a_client_with_another_key_finds_nothing_and_can_be_ended(started: Started) -> None:
    server = started.server("broadcast_server")
    rewrite(started, "broadcast_client", lambda text: text.replace("authkey=b'", "authkey=b'x"))
    client = started.python("broadcast_client")
    until(lambda: "no server answers yet" in started.out("broadcast_client"), "it waits")
    assert "is it running, with this key" in started.out("broadcast_client")
    ctrl_c(client, server)
    assert numbers(started.out("broadcast_client"), "Print") == []
    assert "Traceback" not in started.out("broadcast_client")


def test_a_short_key_is_warned_of_loudly_by_both_and_shown_by_none(started: Started) -> None:
    key = secrets.token_hex(4)
    for name in ("broadcast_server", "broadcast_client"):
        rewrite(
            started,
            name,
            lambda text: re.sub(r"authkey=b'\w+'", f"authkey=b'{key}'", text),
        )
    server, client = started.server("broadcast_server"), started.python("broadcast_client")
    until(lambda: numbers(started.out("broadcast_client"), "Print"), "they work all the same")
    for name in ("broadcast_server", "broadcast_client"):
        out = started.out(name)
        assert "the key has 8 bytes: whoever hears this machine's broadcasts CAN GUESS IT" in out
        assert key not in out
    ctrl_c(client, server)


def test_a_client_is_told_what_to_run_and_another_takes_its_share(started: Started) -> None:
    rewrite(started, "function_server", lambda text: text.replace("'cores'", "2"))
    server = started.server("function_server")
    first = started.python("function_client")
    until(lambda: len(numbers(started.out("function_client"), "Print")) >= 3, "numbers come out")
    told = started.out("function_server")
    host = socket.gethostname()
    assert f"{host} runs Generate x1, Square x2, Subtract1 x1, Print x1" in told
    second = started.python("function_client", to="second")
    until(lambda: f"{host}-2 joins" in started.out("function_server"), "another joins")
    until(lambda: "Sqare" in started.out("second"), "it takes its share")
    line = next(
        line
        for line in started.out("function_server").splitlines()
        if line.startswith(f"{host}-2 runs")
    )
    assert "Square x2" in line
    # One Generate in all: wherever it was, it goes on where the client that stays is.
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=15) == 0
    until(lambda: f"{host} has left" in started.out("function_server"), "the first leaves")
    seen = len(numbers(started.out("second"), "Print"))
    until(lambda: len(numbers(started.out("second"), "Print")) > seen + 3, "the second does it all")
    ctrl_c(second, server)
    for name in ("function_client", "second", "function_server"):
        assert "Traceback" not in started.out(name)


def test_what_a_killed_client_ran_goes_to_another(started: Started) -> None:
    rewrite(started, "function_server", lambda text: text.replace("'cores'", "1"))
    server = started.server("function_server")
    first = started.python("function_client")
    until(lambda: numbers(started.out("function_client"), "Print"), "the first works")
    second = started.python("function_client", to="second")
    until(lambda: "-2 joins" in started.out("function_server"), "another joins")
    first.kill()
    first.wait()
    seen = len(numbers(started.out("second"), "Print"))
    assert until(
        lambda: len(numbers(started.out("second"), "Print")) > seen + 3, "the second does it all"
    )
    ctrl_c(second, server)


def test_clients_end_when_their_server_does_and_say_why(started: Started) -> None:
    server, client = started.server("function_server"), started.python("function_client")
    until(lambda: numbers(started.out("function_client"), "Print"), "the client works")
    server.kill()
    assert client.wait(timeout=15) == 0
    assert "the server is gone" in started.out("function_client")
    assert "Traceback" not in started.out("function_client")


def test_a_server_that_is_ended_ends_its_clients_and_neither_has_more_to_say(
    started: Started,
) -> None:
    server, client = started.server("function_server"), started.python("function_client")
    until(lambda: numbers(started.out("function_client"), "Print"), "the client works")
    ctrl_c(server)
    assert client.wait(timeout=15) == 0
    serving, joins, runs = started.out("function_server").splitlines()
    assert serving.startswith("serving ")
    assert joins.endswith(" joins")
    assert " runs Generate x1" in runs
    assert "\nthe server is gone\n" in started.out("function_client")
    assert "Traceback" not in started.out("function_client")


def test_a_function_that_a_client_does_not_have_is_said_with_what_to_do(started: Started) -> None:
    server = started.server("function_server")
    elsewhere = started.folder / "elsewhere"
    elsewhere.mkdir()
    text = (started.folder / "function_client.py").read_text()
    (elsewhere / "function_client.py").write_text(text)
    other = Started(elsewhere, started.mark)
    client = other.python("function_client")
    assert client.wait(timeout=15) == 1
    out = other.out("function_client")
    assert "the server wants functions:Generate, which is not here" in out
    until(lambda: "has left" in started.out("function_server"), "the server lets it go")
    ctrl_c(server)
