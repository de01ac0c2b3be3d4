"""Who is let in at the TCP door, and what the others are told."""

from __future__ import annotations

import pickle
import socket
import ssl
import struct
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner import __version__
from pipeline_runner.errors import ExitCode, NoHead, Refused
from pipeline_runner.wire.client import tls as sealed
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.client.prover import Prover
from pipeline_runner.wire.client.tls import redeem
from pipeline_runner.wire.control_messages import Answer, Ask
from pipeline_runner.wire.endpoint import Endpoint
from pipeline_runner.wire.framing import HEADER_SIZE, encode_frame
from pipeline_runner.wire.messages import Hello
from pipeline_runner.wire.proof import Speaks
from pipeline_runner.wire.tls_socket import TlsSocket, client_context
from tests.e2e.kit import until
from tests.wire.house import GIFT, KEY, SECRET, TOKEN, visit
from tests.wire.relay import relay

if TYPE_CHECKING:
    from tests.wire.house import House


def knock(head: House) -> socket.socket:
    return socket.create_connection(("127.0.0.1", head.door.port), 10)


def is_shown_out(sock: socket.socket) -> bool:
    """Wait for the head to close the connection, whatever it says before."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def context(**versions: ssl.TLSVersion) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    for name, version in versions.items():
        setattr(made, name, version)
    return made


def test_whoever_has_the_key_comes_in_by_tls_1_3(head: House) -> None:
    wire = visit(head.door)
    assert isinstance(wire.sock, TlsSocket)
    assert wire.sock._tls.version() == "TLSv1.3"
    wire.close()
    assert head.warnings() == []


def test_without_a_fingerprint_the_proof_alone_tells_who_it_is(head: House) -> None:
    wire = visit(replace(head.door, fingerprint=""))
    assert not wire.closed
    wire.close()


def test_a_wrong_key_is_refused_in_one_line_at_either_end(head: House) -> None:
    with pytest.raises(Refused, match="does not take this key") as caught:
        visit(replace(head.door, key="00" * 32))
    assert caught.value.exit_code == ExitCode.REFUSED
    assert "runner token" in caught.value.hint
    until(head.warnings, "the head says so")
    assert head.warnings() == ["turned away 127.0.0.1: a wrong key"]
    visit(head.door).close()


def test_wrong_keys_are_looked_at_later_and_later_and_good_ones_still_come_in(
    head: House,
) -> None:
    wrong = replace(head.door, key="00" * 32)
    for _ in range(4):
        with pytest.raises(Refused):
            visit(wrong)
    visit(head.door).close()
    assert len(head.warnings()) == 1, "the same line is not said again at once"


def test_another_certificate_than_the_known_one_gets_no_proof_of_ours(
    head: House, tmp_path: Path
) -> None:
    with (
        relay(tmp_path / "relay", head.door.port) as between,
        pytest.raises(Refused, match="another certificate than the head's"),
    ):
        visit(replace(head.door, port=between.port))
    assert between.seen["client"] == b""


def test_a_relay_in_the_middle_is_refused_where_no_fingerprint_is_known(
    head: House, tmp_path: Path
) -> None:
    with relay(tmp_path / "relay", head.door.port) as between:
        with pytest.raises(Refused):
            visit(replace(head.door, port=between.port, fingerprint=""))
        until(head.warnings, "the head has turned the relay away")
        assert head.warnings() == ["turned away 127.0.0.1: a wrong key"]
        said = between.seen["client"] + between.seen["head"]
        assert KEY not in said
        assert encode_frame(Hello("control", "somewhere"))[HEADER_SIZE:] not in said


def test_a_token_gets_its_gift_once_and_no_other_way_in(head: House) -> None:
    door = replace(head.door, key=SECRET.hex())
    with pytest.raises(Refused):
        visit(door)
    assert redeem(door, TOKEN, 10) == GIFT
    with pytest.raises(Refused, match="it was used, or has expired"):
        redeem(door, TOKEN, 10)
    until(lambda: len(head.warnings()) >= 2)
    assert all(SECRET.decode() not in line for line in head.warnings())


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: head\r\n\r\n",
        b"\x00" * 64,
        b"#CHALLENGE#{sha256}" + b"x" * 40,
        struct.pack("!i", 2**31 - 1),
        pickle.dumps((None, "shutdown", (), {})),
        b"\x16\x03\x01\xff\xff" + b"\x01" * 300,
    ],
    ids=["http", "zeros", "manager", "length", "pickle", "half a handshake"],
)
def test_whoever_does_not_speak_tls_is_shown_out(head: House, said: bytes) -> None:
    with knock(head) as sock:
        sock.sendall(said)
        with suppress(OSError):  # it is gone already
            sock.shutdown(socket.SHUT_WR)
        assert is_shown_out(sock)
    visit(head.door).close()


def test_whoever_does_not_speak_tls_is_named_once(head: House) -> None:
    for _ in range(5):
        with knock(head) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert is_shown_out(sock)
    until(head.warnings, "the head says so")
    assert [line.partition(" (")[0] for line in head.warnings()] == [
        "turned away 127.0.0.1: it does not speak TLS 1.3"
    ]


def test_an_older_tls_is_refused(head: House) -> None:
    with knock(head) as sock, pytest.raises(ssl.SSLError):
        context(maximum_version=ssl.TLSVersion.TLSv1_2).wrap_socket(sock)
    visit(head.door).close()


@pytest.mark.parametrize(
    "said",
    [
        pickle.dumps((None, "shutdown", (), {})),
        encode_frame(Hello("control", "h")),
        b"PRUN\x01\x02\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["pickle", "HELLO", "length", "http"],
)
def test_within_tls_nothing_but_a_proof_is_listened_to(head: House, said: bytes) -> None:
    with knock(head) as plain, context().wrap_socket(plain) as sock:
        assert sock.recv(4) == b"PRUN"
        sock.sendall(said)
        assert is_shown_out(sock)
    visit(head.door).close()


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_a_pickle_from_a_key_holder_is_not_run_either(head: House, tmp_path: Path) -> None:
    wire = open_wire(head.door, 10)
    bomb = pickle.dumps(Bomb(tmp_path / "ran"))
    wire._put([struct.pack("!II", len(bomb), 0) + bomb])
    with pytest.raises(EOFError):
        wire.receive()
    wire.close()
    visit(head.door).close()
    assert not (tmp_path / "ran").exists()


def test_a_head_shuts_down_for_nobody_who_asks_as_a_manager_does(head: House) -> None:
    wire = visit(head.door)
    wire.send(Ask("shutdown"))
    assert wire.receive()[0] == Answer({"verb": "shutdown"})
    wire.close()
    assert head.popen.poll() is None
    visit(head.door).close()


def test_versions_that_do_not_understand_each_other_part_in_words_at_both_ends(
    head: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "Prover", partial(Prover, speaks=Speaks(7, 9, "9.9.9")))
    with pytest.raises(Refused, match=r"and this is 9\.9\.9 \(protocols 7-9\)") as caught:
        visit(head.door)
    assert caught.value.hint == f"pip install clusterer=={__version__}"
    until(head.warnings, "the head says so")
    assert head.warnings() == [
        f"turned away 127.0.0.1: it is 9.9.9 (protocols 7-9), and this head is {Speaks()}"
    ]


@pytest.mark.parametrize("remote", [True, False])
def test_a_command_of_another_protocol_is_answered_in_words(head: House, remote: bool) -> None:
    wire = open_wire(head.door if remote else head.unix, 10)
    wire.send(Hello("control", "somewhere", protocol=99))
    wire.send(Ask("ps"))
    answer, _none = wire.receive()
    assert isinstance(answer, Answer)
    assert f"the head that runs is {__version__}" in answer.error
    assert f"pip install clusterer=={__version__}" in answer.hint
    wire.close()


def test_where_nobody_listens_the_words_say_what_to_look_at(head: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NoHead) as caught:
        visit(replace(head.door, port=port))
    assert caught.value.message == f"no head answers at 127.0.0.1:{port}: Connection refused"
    assert "firewall" in caught.value.hint
    with pytest.raises(NoHead, match=r"no head answers at x+:50000"):
        visit(Endpoint(host="x" * 100, port=50000, key=KEY.hex()))  # no name can be so long


def test_a_port_of_another_service_is_no_head() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            sock, _address = listener.accept()
            with sock:
                sock.sendall(b"220 mail.example ESMTP\r\n")
                is_shown_out(sock)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(NoHead, match=r"does not speak TLS 1\.3"):
            open_wire(Endpoint(host="127.0.0.1", port=listener.getsockname()[1], key=KEY.hex()), 10)
        thread.join(10)


def test_a_service_that_stays_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        door = Endpoint(host="127.0.0.1", port=listener.getsockname()[1], key=KEY.hex())
        with pytest.raises(NoHead, match="takes connections, and says nothing"):
            open_wire(door, 0.2)


def test_no_key_shows_where_a_door_is_printed() -> None:
    door = Endpoint(host="10.0.0.5", port=50000, fingerprint="ab", key=KEY.hex())
    assert str(door) == "10.0.0.5:50000"
    assert KEY.hex() not in repr(door)
    assert str(Endpoint(host="fe80::1", port=1)) == "[fe80::1]:1"
    assert Endpoint.from_json(door.as_json()) == door


def test_a_client_takes_no_certificate_for_granted() -> None:
    assert client_context().minimum_version == ssl.TLSVersion.TLSv1_3
