"""A host that looks for heads: what it finds, and what it does not fall for."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from pipeline_runner.cluster.discovery import door_of, find, twin
from pipeline_runner.cluster.identity import Identity
from pipeline_runner.cluster.interfaces import Interface, Links
from pipeline_runner.cluster.packets import (
    SPEAKS,
    Announce,
    Ask,
    Nak,
    Opened,
    Seal,
    decode,
    encode,
)
from pipeline_runner.cluster.search import Search
from pipeline_runner.errors import UsageError
from tests.cluster.kit import (
    HEAD_ID,
    LOOPBACK,
    OFFER,
    OTHER,
    THUMBS,
    broadcaster,
    free_port,
    head,
    loopback,
    seal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_runner.cluster.silence import Silence


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def impostor(
    port: int, answer: Callable[[Ask, bytes], list[bytes]], sealed: Seal | None = None
) -> Iterator[None]:
    """Run something that answers every ask it can read with ``answer(ask, its bytes)``."""
    known = sealed or seal()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind(("", port))

        def serve() -> None:
            while True:
                data, source = sock.recvfrom(2000)
                if data == b"end":
                    return
                opened = decode(data, {known.tag: known})
                if isinstance(opened, Opened) and isinstance(opened.packet, Ask):
                    for packet in answer(opened.packet, data):
                        sock.sendto(packet, source)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            # By broadcast: of two sockets at one port only one would get it otherwise.
            sock.sendto(b"end", ("127.255.255.255", port))
            thread.join()


def assert_silent(
    port: int, identity: Identity = THUMBS, *, timeout_s: float = 0.25, name: str | None = None
) -> Silence:
    """Search, find nothing, and return what is said then."""
    said: list[Silence] = []
    found = find(
        [identity],
        name=name,
        timeout_s=timeout_s,
        on_silence=said.append,
        links=loopback,
        port=port,
    )
    assert found == []
    (silence,) = said
    return silence


def test_a_head_is_found_with_what_is_needed_to_connect(port: int) -> None:
    with head(port):
        (found,) = find([OTHER, THUMBS], links=loopback, port=port)
    assert found.identity == THUMBS
    assert (found.head_id, found.name, found.host, found.port) == (
        HEAD_ID,
        "thumbs",
        "127.0.0.1",
        50001,
    )
    assert (found.version, found.machine, found.revision, found.release) == (
        "1.2.3",
        "desk",
        7,
        "a9",
    )
    assert found.fingerprint == OFFER.digest.hex()
    assert door_of(found) == {
        "host": "127.0.0.1",
        "port": 50001,
        "fingerprint": OFFER.digest.hex(),
        "key": THUMBS.door_key.hex(),
    }
    assert THUMBS.key.decode() not in repr(found)


def test_a_key_for_any_name_finds_the_pipeline_and_takes_its_name(port: int) -> None:
    with head(port):
        (found,) = find([Identity("", THUMBS.key)], links=loopback, port=port)
    assert found.identity == THUMBS


def test_one_key_under_two_names_finds_both(port: int) -> None:
    other = Identity("other", THUMBS.key)
    with (
        head(port),
        head(port, other, lambda: structs.replace(OFFER, name="other", head_id="e" * 16)),
    ):
        found = find([THUMBS, other], links=loopback, port=port)
    assert {each.identity.name for each in found} == {"thumbs", "other"}


def test_two_heads_of_one_pipeline_are_both_listed(port: int) -> None:
    with head(port), head(port, offer=lambda: structs.replace(OFFER, head_id="f" * 16)):
        found = find([THUMBS], links=loopback, port=port)
    assert sorted(each.head_id for each in found) == [HEAD_ID, "f" * 16]


def test_another_key_or_another_name_finds_nothing(port: int) -> None:
    with head(port):
        assert assert_silent(port, OTHER).forged == ()
        assert_silent(port, name="other")


def test_a_search_without_a_key_says_how_to_get_one() -> None:
    with pytest.raises(UsageError, match="no pipeline's key yet") as caught:
        find([])
    assert "runner token" in caught.value.hint


def test_an_offer_that_was_recorded_answers_nothing(port: int) -> None:
    old = encode(structs.replace(OFFER, nonce=bytes(16)), seal())
    with impostor(port, lambda _ask, _data: [old, old]):
        assert_silent(port)


def test_offers_that_are_forged_cut_foreign_or_huge_are_not_taken_and_forgers_are_told(
    port: int,
) -> None:
    def answer(ask: Ask, data: bytes) -> list[bytes]:
        mine = structs.replace(OFFER, nonce=ask.nonce)
        true = encode(mine, seal())
        return [
            encode(mine, Seal(THUMBS.tag, b"x")),
            encode(mine, seal(OTHER)),
            true[:-1],
            true + b"x",
            true + bytes(60_000),
            true[:40] + b"x" + true[41:],
            data,
        ]

    with impostor(port, answer):
        assert assert_silent(port).forged == ("127.0.0.1",)


def test_forged_offers_do_not_hide_the_true_one(port: int) -> None:
    def answer(ask: Ask, _data: bytes) -> list[bytes]:
        return [encode(structs.replace(OFFER, nonce=ask.nonce, port=666), Seal(THUMBS.tag, b"x"))]

    with impostor(port, answer), head(port):
        (found,) = find([THUMBS], links=loopback, port=port)
    assert found.port == OFFER.port


def test_why_a_head_takes_nobody_is_passed_on_and_a_recorded_no_is_not(port: int) -> None:
    def answer(ask: Ask, _data: bytes) -> list[bytes]:
        return [encode(Nak(*each), seal()) for each in (("now", ask.nonce), ("once", bytes(16)))]

    with impostor(port, answer):
        assert assert_silent(port).naks == ("now (127.0.0.1)",)


def test_a_head_that_opens_later_is_found_and_silence_is_told_once(port: int) -> None:
    said: list[Silence] = []
    opened = threading.Event()

    def come(silence: Silence) -> None:
        said.append(silence)
        opened.set()

    late = head(port)

    def open_late() -> None:
        assert opened.wait(30)
        late.__enter__()

    thread = threading.Thread(target=open_late)
    thread.start()
    try:
        (found,) = find([THUMBS], timeout_s=None, on_silence=come, links=loopback, port=port)
    finally:
        opened.set()
        thread.join()
        late.__exit__(None, None, None)
    assert found.identity == THUMBS
    assert len(said) == 1
    assert said[0].waited_s >= 3


def test_an_announcement_makes_a_host_ask_at_once_and_nothing_else(port: int) -> None:
    asked = threading.Semaphore(0)

    def count(_ask: Ask, _data: bytes) -> list[bytes]:
        asked.release()
        return []

    with (
        impostor(port, count),
        broadcaster() as sock,
        Search([THUMBS], None, loopback, port) as search,
    ):
        search._times = iter([1e9])  # it has asked for the last time
        search.look(0.0)
        assert asked.acquire(timeout=10)
        sock.sendto(encode(Announce(HEAD_ID, "other", 1.0), seal()), ("127.255.255.255", port))
        sock.sendto(encode(Announce(HEAD_ID, "thumbs", 1.0), seal()), ("127.255.255.255", port))
        search._times = iter([1e9])
        while search._ask_at:
            search.look(search.waited_s + 10)
        search.look(0.0)
        assert asked.acquire(timeout=10)
        assert search.found == []


def test_a_search_ends_when_its_wakeup_can_be_read(port: int) -> None:
    ours, theirs = os.pipe()
    try:
        os.write(theirs, b"x")
        assert find([THUMBS], timeout_s=None, wakeup=ours, links=loopback, port=port) == []
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_network_that_cannot_be_used_is_told_and_the_others_are_asked(port: int) -> None:
    gone = Interface("wlan0", "203.0.113.7", "203.0.113.255")  # an address nobody has here
    with head(port):
        (found,) = find([THUMBS], links=lambda: Links((gone, LOOPBACK)), port=port)
    assert found.host == "127.0.0.1"
    with Search([THUMBS], None, lambda: Links((gone, LOOPBACK)), port) as search:
        search.look(0.0)
        silence = search.silence()
    assert silence.tried == (LOOPBACK,)
    assert silence.skipped[0].name == "wlan0"


def test_a_network_that_comes_up_during_a_search_is_asked_too(port: int) -> None:
    scans = [Links(()), Links(()), Links((LOOPBACK,))]
    with head(port):
        (found,) = find(
            [THUMBS], links=lambda: scans.pop(0) if len(scans) > 1 else scans[0], port=port
        )
    assert found.identity == THUMBS


def test_a_search_goes_on_when_there_is_no_descriptor_left_to_look_with(port: int) -> None:
    scans: list[Links | OSError] = [OSError(24, "Too many open files"), Links((LOOPBACK,))]

    def links() -> Links:
        scan = scans.pop(0) if len(scans) > 1 else scans[0]
        if isinstance(scan, OSError):
            raise scan
        return scan

    with head(port):
        (found,) = find([THUMBS], links=links, port=port)
    assert found.identity == THUMBS


def test_a_twin_is_another_head_of_the_same_name_and_key(port: int) -> None:
    with head(port):
        assert twin(THUMBS, HEAD_ID, links=loopback, port=port) is None
        assert twin(replace(THUMBS, name="other"), "f" * 16, links=loopback, port=port) is None
        assert twin(OTHER, "f" * 16, links=loopback, port=port) is None
        found = twin(THUMBS, "f" * 16, timeout_s=30, links=loopback, port=port)
    assert found is not None
    assert (found.host, found.machine) == ("127.0.0.1", "desk")


def test_a_head_is_found_among_garbage_with_the_right_tag_and_questions_of_others(
    port: int,
) -> None:
    over = threading.Event()
    recorded = [encode(Ask("thumbs", bytes([n]) * 16, SPEAKS, "1"), seal()) for n in range(9)]

    def flood() -> None:
        with broadcaster() as sock:
            while not over.is_set():
                garbage = (b"PRUN" + os.urandom(600), b"PRUN\1\1" + THUMBS.tag + bytes(600))
                for packet in (*garbage, *recorded):
                    sock.sendto(packet, ("127.255.255.255", port))
                over.wait(0.0002)

    thread = threading.Thread(target=flood)
    with head(port) as beacon:
        thread.start()
        try:
            found = [
                find([THUMBS], timeout_s=30, links=loopback, port=port)[0].identity
                for _ in range(5)
            ]
        finally:
            over.set()
            thread.join()
        assert found == [THUMBS] * 5
        assert beacon.warned == []
