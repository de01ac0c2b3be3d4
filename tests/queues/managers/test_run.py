"""Stock clients in a run of ``runner up``: beside its workers, and instead of them."""

from __future__ import annotations

import queue
from multiprocessing.managers import BaseManager
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.head.network.manager_endpoint import KEY, SOCKET
from tests.e2e.kit import chain, stage, until
from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Project

FUNCTIONS = """
from kept import keep, pass_gate

def gen():
    yield from range(5)
    pass_gate("gate")

def double(x):
    return x * 2
"""
DOCUMENT = (
    stage("gen", "functions:gen")
    + stage("double", "functions:double")
    + stage("keep", "kept:keep")
    + chain("gen", "double", "keep")
)


class Client(BaseManager):
    pass


Client.register("queue")


@pytest.fixture
def project() -> Iterator[Project]:
    with fresh_project() as project:
        yield project


def connected(project: Project, address: Any = None) -> Any:
    """A client of the project's run, once its head can be found."""
    until((project.state / "head.json").exists, "the head announces itself")
    key = (project.state / KEY).read_bytes()
    client = Client(address or str(project.state / SOCKET), authkey=key)
    client.connect()
    return client


def test_what_a_stock_client_puts_is_worked_on_like_any_item(project: Project) -> None:
    project.write(FUNCTIONS, DOCUMENT)
    run = project.start()
    gen = connected(project).queue("gen->double")
    for item in (10, "ab", [1, 2]):
        gen.put(item)
    expected = [0, 2, 4, 6, 8, 20, "abab", [1, 2, 1, 2]]
    until(lambda: len(project.kept()) == len(expected), "every item is kept")
    project.open_gate()
    ended = run.wait()
    assert ended.code == 0, ended.err
    assert sorted(project.kept(), key=str) == sorted(expected, key=str)
    assert ended.edge("gen->double")["settled"] == len(expected)


@pytest.mark.parametrize("durability", ["memory", "fsync"])
def test_without_workers_stock_clients_can_do_all_the_work(
    project: Project, durability: str
) -> None:
    project.write(FUNCTIONS, DOCUMENT)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', f'"{durability}"'))
    run = project.start("--no-work")
    client = connected(project)
    gen, double = client.queue("gen->double"), client.queue("double->keep")
    for n in range(50):
        gen.put(n)
    for _ in range(50):
        double.put(gen.get(timeout=5) * 2)
    assert [double.get() for _ in range(50)] == [2 * n for n in range(50)]
    with pytest.raises(queue.Empty):
        gen.get_nowait()
    run.end()


def test_what_clients_put_outlives_a_killed_head(project: Project) -> None:
    project.write(FUNCTIONS, DOCUMENT)
    file = project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('"memory"', '"fsync"'))
    first = project.start("--no-work")
    q = connected(project).queue("double->keep")
    for n in range(20):
        q.put(n)
    assert [q.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert q.qsize() == 15  # and with this call the fifth is settled
    first.end()
    del q  # a manager's client keeps one connection to an address as long as it has a proxy
    (project.state / "head.json").unlink()
    second = project.start("--no-work")
    again = connected(project).queue("double->keep")
    assert [again.get(timeout=20) for _ in range(15)] == list(range(5, 20))
    second.end()


def test_plain_serves_the_network_too_and_says_that_it_is_not_encrypted(
    project: Project,
) -> None:
    project.write(FUNCTIONS, DOCUMENT + '[server]\nplain = true\nbind = "127.0.0.1"\n')
    run = project.start("--ui", "plain", environment={"RUNNER_KEY": "key of a test"})
    lines: list[str] = []
    assert run.popen.stderr is not None
    while "not encrypted" not in "".join(lines):
        lines.append(run.popen.stderr.readline())
        assert lines[-1], lines
    warning = lines[-1]
    assert "warning" in warning
    port = int(warning.split("127.0.0.1:")[1].split(",")[0])
    client = Client(("127.0.0.1", port), authkey=b"key of a test")
    client.connect()
    q: Any = client.queue("gen->double")  # type: ignore[attr-defined]
    q.put(50)
    until(lambda: 100 in project.kept(), "it is worked on")
    assert not (project.state / KEY).exists()
    run.end()


def test_the_key_is_for_its_owner_alone_and_the_socket_goes_with_the_head(
    project: Project,
) -> None:
    project.write(FUNCTIONS, DOCUMENT)
    project.open_gate()
    run = project.start()
    until((project.state / "head.json").exists, "the head announces itself")
    assert (project.state / KEY).stat().st_mode & 0o777 == 0o600
    assert (project.state / SOCKET).stat().st_mode & 0o777 == 0o600
    assert run.wait().code == 0
    assert not (project.state / SOCKET).exists()
