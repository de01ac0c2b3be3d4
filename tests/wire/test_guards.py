"""What strangers at the TCP door cost the others: next to nothing."""

from __future__ import annotations

import os
import resource
import socket
import ssl
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.control_messages import Ask
from pipeline_runner.wire.messages import Hello
from pipeline_runner.wire.server.admission import MOST, STEP_S
from tests.e2e.kit import until
from tests.wire.house import visit, visit_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.wire.house import House

TWO_GIB = 2**31 - 1
RSS_SLACK = 2**20
SILENT, DESCRIPTORS = 500, 64
JOIN_S = 1.0
SHARE_OF_A_CORE = 0.1


def knock(head: House) -> socket.socket:
    return socket.create_connection(("127.0.0.1", head.door.port), 10)


def half_a_handshake() -> bytes:
    """Return the first half of what a client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    said = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), said)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    whole = said.read()
    return whole[: len(whole) // 2]


def in_tls(sock: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(sock)


def is_shown_out(sock: socket.socket) -> bool:
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def test_500_silent_connections_and_64_descriptors_keep_no_good_peer_out(
    head: House, record_property: Callable[[str, object], None]
) -> None:
    visit(head.door).close()
    resource.prlimit(head.popen.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    before, began = head.cpu_s(), time.monotonic()
    with ExitStack() as stack:
        silent = [stack.enter_context(knock(head)) for _ in range(SILENT)]
        assert len(silent) == SILENT
        joins = [visit_s(head.door) for _ in range(10)]
        assert max(joins) < JOIN_S
        until(lambda: time.monotonic() - began > 3, "three seconds have passed")
        joins += [visit_s(head.door) for _ in range(10)]
        assert max(joins) < JOIN_S
        spent, lasted = head.cpu_s() - before, time.monotonic() - began
    assert spent < SHARE_OF_A_CORE * lasted + 0.1, f"{spent:.2f} s of CPU in {lasted:.1f} s"
    assert head.opens() <= DESCRIPTORS
    record_property("silent connections", SILENT)
    record_property("slowest join in s", round(max(joins), 3))
    record_property("share of a core", round(spent / lasted, 3))


@pytest.mark.parametrize("how", ["silent", "half a handshake", "within TLS"])
def test_whoever_stops_on_the_way_in_is_shown_out_after_its_time(head: House, how: str) -> None:
    with knock(head) as plain:
        began = time.monotonic()
        plain.settimeout(STEP_S * 3)
        sock: socket.socket = plain
        if how == "half a handshake":
            plain.sendall(half_a_handshake())
        elif how == "within TLS":
            sock = in_tls(plain)
            assert sock.recv(100)
        assert is_shown_out(sock)
        assert time.monotonic() - began > STEP_S - 0.5
        sock.close()
    until(head.warnings, "the head says so")
    assert head.warnings() == ["turned away 127.0.0.1: no HELLO in time"]


def test_a_peer_with_the_key_that_says_nothing_more_is_shown_out_too(head: House) -> None:
    wire = open_wire(head.door, STEP_S * 3)
    with pytest.raises(EOFError):
        wire.receive()
    wire.close()


def test_of_too_many_on_the_way_in_the_oldest_goes_first(head: House) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(knock(head)) for _ in range(MOST + 1)]
        assert is_shown_out(waiting[0])
        waiting[1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting[1].recv(1)


def refuses(head: House, begin: Callable[[House], socket.socket], said: bytes) -> int:
    """Send ``said`` and wait to be shown out; return by how much the head has grown."""
    visit(head.door).close()
    for _ in range(2):  # what the first time allocates once and for all is not the length's fault
        before = head.resident()
        with begin(head) as sock:
            sock.sendall(said)
            assert is_shown_out(sock)
        visit(head.door).close()
    return head.resident() - before


@pytest.mark.parametrize("sizes", [(TWO_GIB, 0), (16, TWO_GIB), (TWO_GIB, TWO_GIB)])
def test_a_length_of_two_gib_before_the_proof_is_refused_unallocated(
    head: House, sizes: tuple[int, int]
) -> None:
    said = struct.pack("!II", *sizes)
    assert refuses(head, lambda head: in_tls(knock(head)), said) < RSS_SLACK
    assert refuses(head, knock, said + bytes(64)) < RSS_SLACK


@pytest.mark.parametrize("sizes", [(TWO_GIB, 0), (16, TWO_GIB), (TWO_GIB, TWO_GIB)])
@pytest.mark.parametrize("known", [False, True], ids=["before HELLO", "after HELLO"])
def test_a_length_of_two_gib_from_a_key_holder_is_refused_unallocated(
    head: House,
    sizes: tuple[int, int],
    known: bool,
    record_property: Callable[[str, object], None],
) -> None:
    def come_in() -> None:
        wire = visit(head.door) if known else open_wire(head.door, 10)
        wire._put([struct.pack("!II", *sizes)])
        with pytest.raises(EOFError):
            wire.receive()
        wire.close()

    come_in()
    before = head.resident()
    come_in()
    grown = head.resident() - before
    assert grown < RSS_SLACK
    record_property("KiB that the head grew by, of 2 GiB", grown // 1024)
    visit(head.door).close()


def test_a_thousand_idle_peers_cost_less_than_100_mib(
    head: House, record_property: Callable[[str, object], None]
) -> None:
    visit(head.door).close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"at most {hard} descriptors here")
    resource.prlimit(head.popen.pid, resource.RLIMIT_NOFILE, (4096, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    before = head.resident()
    try:
        with ExitStack() as stack:
            for _ in range(1000):
                stack.callback(visit(head.door).close)
            grown = head.resident() - before
            assert grown < 100 * 2**20, f"{grown / 2**20:.0f} MiB"
            record_property("MiB of 1,000 idle peers", round(grown / 2**20, 1))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_whoever_reads_nothing_keeps_nobody_waiting(head: House) -> None:
    slow = open_wire(head.door, 10)
    slow.send(Hello("control", "slow"))
    slow.send(Ask("data", {"size": 32 * 2**20}))
    with ExitStack() as stack:
        stack.callback(slow.close)
        for _ in range(20):
            assert visit_s(head.door) < JOIN_S
        _answer, data = slow.receive()
        assert len(data) == 32 * 2**20


def test_whoever_sends_a_byte_at_a_time_keeps_nobody_waiting(head: House) -> None:
    with knock(head) as sock:
        for byte in half_a_handshake()[:60]:
            sock.sendall(bytes((byte,)))
            assert visit_s(head.door) < JOIN_S


def test_strangers_leave_no_descriptor_behind(head: House) -> None:
    visit(head.door).close()
    before = head.opens()
    for _ in range(20):
        knock(head).close()
        with knock(head) as sock:
            sock.sendall(os.urandom(100))
        with knock(head) as sock:
            sock.sendall(half_a_handshake())
        visit(head.door).close()
    assert until(lambda: head.opens() <= before, "everything is closed again")
