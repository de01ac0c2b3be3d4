"""What a head answers, to whom, and how often."""

from __future__ import annotations

import hmac
import socket
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from pipeline_runner.cluster.identity import Identity
from pipeline_runner.cluster.packets import (
    LARGEST,
    SPEAKS,
    Announce,
    Ask,
    Nak,
    Opened,
    Packet,
    Seal,
    decode,
    encode,
)
from tests.cluster.kit import (
    HEAD_ID,
    OFFER,
    OTHER,
    THUMBS,
    broadcaster,
    free_port,
    head,
    seal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.cluster.interfaces import Links

LAST = b"the last question"[:16]


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with broadcaster() as made:
        yield made


@pytest.fixture
def port() -> int:
    return free_port()


def ask(nonce: bytes = bytes(16), name: str = "thumbs", sealed: Seal | None = None) -> bytes:
    return encode(Ask(name, nonce, SPEAKS, "1"), sealed or seal())


def answers(
    sock: socket.socket, port: int, packets: list[bytes], identity: Identity = THUMBS
) -> list[Packet]:
    """Broadcast ``packets`` and then a good ask; return what came back before its answer."""
    for packet in (*packets, ask(LAST, sealed=seal(identity))):
        sock.sendto(packet, ("127.255.255.255", port))
    got: list[Packet] = []
    while True:
        opened = decode(sock.recv(2000), {identity.tag: seal(identity)})
        assert isinstance(opened, Opened)
        if getattr(opened.packet, "nonce", b"") == LAST:
            return got
        got.append(opened.packet)


def test_an_ask_is_answered_with_the_offer_of_the_moment_bound_to_its_nonce(
    sock: socket.socket, port: int
) -> None:
    with head(port):
        assert answers(sock, port, [ask(b"a" * 16)]) == [structs.replace(OFFER, nonce=b"a" * 16)]


def test_an_ask_for_any_name_is_answered_and_one_for_another_name_is_not(
    sock: socket.socket, port: int
) -> None:
    with head(port):
        got = answers(sock, port, [ask(b"a" * 16, ""), ask(b"b" * 16, "other")])
        assert got == [structs.replace(OFFER, nonce=b"a" * 16)]


GOOD = ask(b"a" * 16)
BAD = {
    "another key": ask(sealed=seal(OTHER)),
    "our tag, another signature": ask(sealed=Seal(THUMBS.tag, b"x")),
    "cut": GOOD[:-1],
    "the header alone": GOOD[:14],
    "empty": b"",
    "longer": GOOD + b"x",
    "huge": GOOD + bytes(60_000),
    "changed": GOOD[:20] + b"x" + GOOD[21:],
    "an offer": encode(OFFER, seal()),
    "a nak": encode(Nak("no"), seal()),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_nothing_but_a_true_ask_is_answered(sock: socket.socket, port: int, bad: bytes) -> None:
    with head(port):
        assert answers(sock, port, [bad]) == []


def test_a_newer_ask_of_a_key_holder_hears_why_it_gets_no_offer(
    sock: socket.socket, port: int
) -> None:
    signed = b"PRUN\x02\x01" + THUMBS.tag + bytes(300)
    newer = signed + hmac.digest(THUMBS.beacon_key, signed, "sha256")
    with head(port):
        (nak,) = answers(sock, port, [newer])
        assert isinstance(nak, Nak)
        assert "another version" in nak.reason


def test_a_head_that_takes_nobody_says_why_and_one_that_is_not_ready_is_silent(
    sock: socket.socket, port: int
) -> None:
    says: list[Any] = []
    with head(port, offer=lambda: says.pop(0) if says else OFFER) as beacon:
        beacon.do(lambda: beacon.beacon._alarm and beacon.beacon._alarm.cancel())
        assert answers(sock, port, []) == []  # nor does an announcement look for the offer now
        says.extend(["it is ending", None])
        got = answers(sock, port, [ask(b"a" * 16), ask(b"b" * 16)])
        assert got == [Nak("it is ending", b"a" * 16)]


def test_a_question_that_is_repeated_is_answered_less_often_and_a_new_one_at_once(
    sock: socket.socket, port: int
) -> None:
    with head(port):
        got = answers(sock, port, [GOOD] * 200)
        assert set(got) == {structs.replace(OFFER, nonce=b"a" * 16)}
        assert len(got) < 50


def test_no_answer_is_larger_than_its_question(sock: socket.socket, port: int) -> None:
    with head(port):
        sock.sendto(GOOD, ("127.255.255.255", port))
        assert len(sock.recv(2000)) <= len(GOOD) == LARGEST


def test_a_head_announces_itself_when_it_opens(sock: socket.socket, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", port))
        listener.settimeout(10)
        with head(port):
            opened = decode(listener.recv(2000), {THUMBS.tag: seal()})
            assert isinstance(opened, Opened)
            assert isinstance(opened.packet, Announce)
            assert (opened.packet.head_id, opened.packet.name) == (HEAD_ID, "thumbs")


def test_another_head_of_this_name_and_key_is_warned_of_once(
    sock: socket.socket, port: int
) -> None:
    twin = encode(Announce("f" * 16, "thumbs", 1.0), seal())
    ourselves = encode(Announce(HEAD_ID, "thumbs", 1.0), seal())
    another_name = encode(Announce("e" * 16, "other", 1.0), seal())
    with head(port) as beacon:
        assert answers(sock, port, [ourselves, another_name, twin, twin]) == []
        ((text, hint),) = beacon.warned
        assert "another head of thumbs with the same key runs on 127.0.0.1" in text
        assert hint == "stop one of them"


def test_a_head_that_serves_one_address_is_silent_on_the_others(
    sock: socket.socket, port: int
) -> None:
    with head(port, bind="127.0.0.2"), head(port, offer=lambda: "the other one"):
        assert answers(sock, port, [GOOD]) == [Nak("the other one", b"a" * 16)]


def test_many_heads_of_one_machine_share_the_port_and_do_not_see_each_other(
    sock: socket.socket, port: int
) -> None:
    with head(port) as one, head(port, OTHER, lambda: "mine is another key") as two:
        assert answers(sock, port, [], OTHER) == []
        assert answers(sock, port, []) == []
        assert one.warned == two.warned == []


def test_a_former_key_is_answered_for_as_long_as_it_is_told(sock: socket.socket, port: int) -> None:
    new = Identity("thumbs", b"the new key of thumbs")
    with head(port) as beacon:
        beacon.do(lambda: beacon.beacon.use(new, THUMBS))
        assert answers(sock, port, [GOOD]) == [structs.replace(OFFER, nonce=b"a" * 16)]
        assert answers(sock, port, [], new) == []
        beacon.do(lambda: beacon.beacon.use(new))
        assert answers(sock, port, [GOOD], new) == []


def test_a_port_that_another_program_has_is_warned_of_and_nothing_else_fails(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", port))
        with head(port) as beacon:
            ((text, hint),) = beacon.warned
            assert f"cannot listen on UDP port {port}: Address already in use" in text
            assert hint == "runner join HOST:PORT works all the same"


def test_a_head_that_serves_ipv6_alone_says_that_it_needs_its_address(port: int) -> None:
    with head(port, bind="::1") as beacon:
        assert "the search goes over IPv4" in beacon.warned[0][0]


def test_a_head_without_a_descriptor_to_look_for_networks_with_answers_all_the_same(
    sock: socket.socket, port: int
) -> None:
    def links() -> Links:
        raise OSError(24, "Too many open files")

    with head(port, links=links) as beacon:
        assert answers(sock, port, [GOOD]) == [structs.replace(OFFER, nonce=b"a" * 16)]
        assert beacon.warned == []


def test_a_closed_beacon_is_silent(sock: socket.socket, port: int) -> None:
    with head(port, offer=lambda: "the open one") as open_one, head(port) as closed:
        closed.do(closed.beacon.close)
        closed.do(closed.beacon.close)
        assert answers(sock, port, [GOOD]) == [Nak("the open one", b"a" * 16)]
        assert open_one.warned == []
