"""The program of long ago, as two processes of its own."""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.clusterer.programs import EXAMPLE, Started, numbers
from tests.e2e.kit import marked, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = """\
# Initialize Server
c = BaseServer(port=50000,authkey=b'password')

# Register queues that server will be handling
c.configure(['gen2sq_q','sq2sub_q','sub2pr_q'])

# Start the server
c.runserver()
"""
FUNCTIONS = """\
# Process A (Generate a Random Number)
@i_wrap
def Generate():
    time.sleep(2)
    number = random.randint(1,10)
    _time = strftime("%Y-%m-%d %H:%M:%S", gmtime())
    # Print so that you can compare.
    print({'time':_time,'number':number})
    return {'time':_time,'number':number} # its a dict

# Process B
@io_wrap
def Square(x):
    # For Sanity check.
    print('Sqare',x)
    x = x['number'] # Remember its a dict
    return x*x

# Process C
@io_wrap
def Subtract1(x):
    print('Subtract',x)
    return x-1

# Process D
@o_wrap
def Print(x):
    print('Print',x)
"""
CLIENT = """\
if __name__=='__main__':
    # Configure to connect to server.
    c = BaseClient(('127.0.0.1',50000),authkey=b'password')

    # List functions,their args and  number of processes of each function to run on this client.
    funcs = [Generate,Square,Subtract1,Print]
    args = [['gen2sq_q'],['gen2sq_q','sq2sub_q'],['sq2sub_q','sub2pr_q'],['sub2pr_q']]
    num_process = [1,1,1,1]

    c.process(funcs,args,num_process)

    # If you want to start only one.
    #c.process(Generate,['gen2square_q'],1)
"""


@pytest.mark.parametrize(
    ("file", "words"),
    [("server.py", SERVER), ("functions.py", FUNCTIONS), ("client.py", CLIENT)],
)
def test_the_example_is_the_program_word_for_word(file: str, words: str) -> None:
    text = (EXAMPLE / file).read_text(encoding="utf-8")
    assert text.endswith(words)
    before = ast.parse(text.removesuffix(words)).body
    assert all(isinstance(node, (ast.Expr, ast.Import, ast.ImportFrom)) for node in before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The program, on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for name in ("server.py", "functions.py", "client.py"):
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(
            text.replace("50000", str(port)).replace("sleep(2)", "sleep(.2)")
        )
    return tmp_path


@pytest.fixture
def started(folder: Path, request: pytest.FixtureRequest) -> Iterator[Started]:
    processes = Started(folder, request.node.name)
    try:
        yield processes
        until(lambda: not marked(processes.mark), "no process is left", within_s=5)
    finally:
        processes.end()


def test_numbers_flow_through_the_four_functions_and_ctrl_c_ends_both_quietly(
    started: Started,
) -> None:
    server, client = started.server(), started.python("client")
    until(lambda: len(numbers(started.out("client"), "Print")) >= 3, "numbers are printed")
    os.killpg(client.pid, signal.SIGINT)  # as a terminal does: every process hears it
    assert client.wait(timeout=15) == 0
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait(timeout=15) == 0
    out = started.out("client")
    made = [int(found) for found in re.findall(r"^\{.*'number': (\d+)\}$", out, re.MULTILINE)]
    squares = [number * number for number in made]
    taken = numbers(out, "Subtract")
    printed = numbers(out, "Print")
    assert taken == squares[: len(taken)]
    assert printed == [square - 1 for square in squares[: len(printed)]]
    assert "Traceback" not in out
    (line,) = started.out("server").splitlines()
    assert "NOT ENCRYPTED" in line


def test_more_copies_of_a_function_on_another_client_share_its_queue(started: Started) -> None:
    started.server()
    first = started.python("client")
    until(lambda: numbers(started.out("client"), "Print"), "the first client works")
    text = (started.folder / "client.py").read_text()
    text = text.replace("c.process(funcs,args,num_process)", SQUARES)
    (started.folder / "more.py").write_text(text)
    second = started.python("more")
    until(lambda: "Sqare" in started.out("more"), "the second one takes from the same queue")
    for client in (first, second):
        client.send_signal(signal.SIGINT)  # to the parent alone: it tells its processes
        assert client.wait(timeout=15) == 0
    assert "Traceback" not in started.out("client") + started.out("more")
    started.popens[0].send_signal(signal.SIGTERM)
    assert started.popens[0].wait(timeout=15) == 0


SQUARES = "c.process(Square,['gen2sq_q','sq2sub_q'],2)"


def test_clients_end_when_their_server_does_and_say_why(started: Started) -> None:
    server, client = started.server(), started.python("client")
    until(lambda: numbers(started.out("client"), "Print"), "the client works")
    server.kill()
    assert client.wait(timeout=15) == 0
    out = started.out("client")
    assert "Print: the server is gone" in out
    assert "Traceback" not in out


def test_workers_end_when_their_client_is_killed(started: Started) -> None:
    server, client = started.server(), started.python("client")
    until(lambda: numbers(started.out("client"), "Print"), "the client works")
    client.kill()
    client.wait()
    until(lambda: marked(started.mark) == [server.pid], "its processes end")
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=15) == 0
