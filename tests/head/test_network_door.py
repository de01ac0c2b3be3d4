"""The door that a head opens for other machines: its port, its keys."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.cluster.identity import Identity
from pipeline_runner.config.parse import load
from pipeline_runner.errors import Refused, UsageError
from pipeline_runner.head.network.tls_endpoint import TlsEndpoint
from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.topology import topology_of
from pipeline_runner.queues.server.server import QueueServer
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.client.tls import redeem
from pipeline_runner.wire.endpoint import Endpoint
from pipeline_runner.wire.messages import Hello
from tests.e2e.kit import chain, stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.config.pipeline import Pipeline
    from tests.e2e.kit import Project

IDENTITY, OTHER = Identity("p", b"k" * 64), Identity("p", b"n" * 64)
FUNCTIONS = "def numbers():\n    yield 1\n\n\ndef keep(n):\n    pass\n"


class Nobody:
    """Stands for the head: its clock is set by hand, and it hears nothing."""

    def __init__(self) -> None:
        self.time = 0.0
        self.turn_out: Callable[[], object] = lambda: None  # from another thread

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_arguments: None


@pytest.fixture
def pipeline(project: Project) -> Pipeline:
    document = stage("numbers", "functions:numbers") + stage("keep", "functions:keep")
    project.write(FUNCTIONS, document + chain("numbers", "keep"))
    pipeline = load(project.root / "pipeline.toml", os.environ)
    pipeline.state_dir.mkdir(parents=True)
    return replace(pipeline, server=pipeline.server.model_copy(update={"bind": "127.0.0.1"}))


def serve(pipeline: Pipeline, scene: Callable[[TlsEndpoint, Nobody], object]) -> None:
    """Open the door, run ``scene`` in a thread, and close it again."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        head = Nobody()
        broker = Broker(topology_of(pipeline), run="r")
        server = QueueServer(broker, head, pipeline.state_dir, most_item=2**20)
        door = TlsEndpoint(pipeline, IDENTITY, lambda: head.time)
        try:
            door.open(server)
            head.turn_out = lambda: loop.call_soon_threadsafe(door.turn_out)
            await loop.run_in_executor(None, scene, door, head)
        finally:
            server.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def port_of(pipeline: Pipeline) -> int:
    ports: list[int] = []
    serve(pipeline, lambda door, _head: ports.append(door.port))
    return ports[0]


def as_door(door: TlsEndpoint, key: bytes) -> Endpoint:
    fingerprint = door.certificate.fingerprint
    return Endpoint(host="127.0.0.1", port=door.port, fingerprint=fingerprint, key=key.hex())


def test_a_head_that_comes_back_has_the_port_it_had(pipeline: Pipeline) -> None:
    first = port_of(pipeline)
    with socket.create_server(("127.0.0.1", 0)) as other:
        (pipeline.state_dir / "port").write_text(f"{other.getsockname()[1]}\n")
        taken = port_of(pipeline)
        assert taken != other.getsockname()[1], "another has it by now"
    assert port_of(pipeline) == taken
    assert first >= 50000


@pytest.mark.parametrize("nonsense", ["", "x\n", "70000\n", "-1\n"])
def test_a_remembered_port_that_is_none_is_forgotten(pipeline: Pipeline, nonsense: str) -> None:
    (pipeline.state_dir / "port").write_text(nonsense)
    assert 50000 <= port_of(pipeline) < 50100


def test_a_port_of_the_file_that_is_taken_is_an_error_with_its_cure(pipeline: Pipeline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = pipeline.server.model_copy(update={"port": port})
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            port_of(replace(pipeline, server=server))
        assert "[server]" in caught.value.hint


def test_a_former_key_gets_in_for_a_minute_and_then_no_more(pipeline: Pipeline) -> None:
    def scene(door: TlsEndpoint, head: Nobody) -> None:
        until = door.rotate(OTHER)
        for identity in (IDENTITY, OTHER):
            open_wire(as_door(door, identity.door_key), 10).close()
        head.time = until
        with pytest.raises(Refused, match="does not take this key"):
            open_wire(as_door(door, IDENTITY.door_key), 10)
        open_wire(as_door(door, OTHER.door_key), 10).close()

    serve(pipeline, scene)


def test_whoever_came_in_by_the_former_key_is_turned_out_when_it_is_over(
    pipeline: Pipeline,
) -> None:
    def scene(door: TlsEndpoint, head: Nobody) -> None:
        former = open_wire(as_door(door, IDENTITY.door_key), 10)
        until = door.rotate(OTHER)
        new = open_wire(as_door(door, OTHER.door_key), 10)
        for wire in (former, new):
            wire.send(Hello("control", "somewhere"))
        head.turn_out()
        former.set_timeout(0.2)
        with pytest.raises(TimeoutError):
            former.receive()
        head.time = until
        head.turn_out()
        former.set_timeout(10)
        with pytest.raises(EOFError):
            former.receive()
        new.set_timeout(0.2)
        with pytest.raises(TimeoutError):
            new.receive()
        former.close()
        new.close()

    serve(pipeline, scene)


def test_a_token_gets_the_key_that_counts_once(pipeline: Pipeline) -> None:
    secret = b"0123456789abcdef"

    def scene(door: TlsEndpoint, head: Nobody) -> None:
        from pipeline_runner.cluster.token import Token, open_gift

        door.tokens.issue(secret, head.time)
        door.rotate(OTHER)
        token = Token("p", (), door.port, door.certificate.fingerprint, secret, 0)
        assert open_gift(redeem(as_door(door, secret), token.id, 10)) == OTHER
        with pytest.raises(Refused, match="it was used"):
            redeem(as_door(door, secret), token.id, 10)

    serve(pipeline, scene)


def test_the_files_of_the_door_are_for_their_owner_alone(pipeline: Pipeline) -> None:
    port_of(pipeline)
    modes = {_mode(pipeline.state_dir / name) for name in ("certificate.pem", "certificate.key")}
    assert modes == {0o600}


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
