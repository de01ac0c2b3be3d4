"""What is said before anything else: each side proves its key, or learns nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.errors import ExitCode, ProtocolError, Refused
from pipeline_runner.wire.client.prover import Prover
from pipeline_runner.wire.proof import MAGIC, Speaks
from pipeline_runner.wire.server.verifier import Accepted, Denied, OneKey, Verifier

KEY, OTHER = b"k" * 32, b"o" * 32
OURS, THEIRS = b"c" * 32, b"d" * 32  # hashes of certificates
NONCES = b"h" * 32, b"n" * 32


def head(
    key: bytes = KEY,
    certificate: bytes = OURS,
    nonce: bytes = NONCES[0],
    speaks: Speaks | None = None,
) -> Verifier:
    return Verifier(OneKey(key), certificate, nonce, speaks)


def client(
    key: bytes = KEY,
    certificate: bytes = OURS,
    nonce: bytes = NONCES[1],
    speaks: Speaks | None = None,
) -> Prover:
    return Prover(key, certificate, nonce, speaks=speaks, place="10.0.0.5:50000")


def meet(prover: Prover, verifier: Verifier) -> Accepted | Denied:
    """Let the two talk to the end; raises what the client raises."""
    verdict = verifier.receive(prover.receive(verifier.challenge()))
    assert verdict is not None
    assert prover.receive(verdict.reply) == b""
    return verdict


@dataclass
class Ring:
    """A head's keys while one is being changed, and its tokens."""

    all: tuple[bytes, ...] = (KEY,)
    secrets: dict[bytes, bytes] = field(default_factory=dict)

    def keys(self) -> tuple[bytes, ...]:
        return self.all

    def secret(self, token: bytes) -> bytes | None:
        return self.secrets.get(token)

    def redeem(self, token: bytes) -> bytes:
        del self.secrets[token]
        return b"the key"


def test_two_that_know_the_key_are_through() -> None:
    prover = client()
    verdict = meet(prover, head())
    assert isinstance(verdict, Accepted)
    assert prover.is_through
    assert verdict.speaks == prover.head == Speaks()


def test_the_challenge_tells_nothing_but_a_nonce() -> None:
    assert head().challenge() == b"PRUN\1\1\0\x20" + NONCES[0]


def test_a_client_without_the_key_is_denied_and_told_the_cure() -> None:
    verifier, prover = head(), client(OTHER)
    verdict = verifier.receive(prover.receive(verifier.challenge()))
    assert isinstance(verdict, Denied)
    assert KEY not in verdict.reply
    with pytest.raises(Refused, match=r"10.0.0.5:50000 does not take this key") as caught:
        prover.receive(verdict.reply)
    assert "runner token" in caught.value.hint
    assert caught.value.exit_code == ExitCode.REFUSED == 4
    assert not prover.is_through


def test_a_relay_with_its_own_certificate_is_denied_though_it_passes_on_every_byte() -> None:
    verifier, prover = head(certificate=OURS), client(certificate=THEIRS)
    verdict = verifier.receive(prover.receive(verifier.challenge()))
    assert isinstance(verdict, Denied)


def test_a_head_without_the_key_learns_it_from_no_client_and_is_refused() -> None:
    impostor, prover = head(OTHER), client()
    said = prover.receive(impostor.challenge())
    assert KEY not in said
    own = client(OTHER)  # what the impostor can make of the nonces, with the key that it has
    reply = head(OTHER).receive(own.receive(impostor.challenge()))
    assert isinstance(reply, Accepted)
    with pytest.raises(Refused, match="does not know the key"):
        prover.receive(reply.reply)
    assert not prover.is_through


def test_a_proof_that_was_overheard_is_worth_nothing_the_next_time() -> None:
    first = head(nonce=b"1" * 32)
    said = client().receive(first.challenge())
    assert isinstance(first.receive(said), Accepted)
    assert isinstance(head(nonce=b"2" * 32).receive(said), Denied)


def test_an_acceptance_that_was_overheard_is_worth_nothing_the_next_time() -> None:
    verifier = head()
    overheard = verifier.receive(client(nonce=b"1" * 32).receive(verifier.challenge()))
    assert isinstance(overheard, Accepted)
    prover = client(nonce=b"2" * 32)
    prover.receive(verifier.challenge())
    with pytest.raises(Refused):
        prover.receive(overheard.reply)


def test_a_clients_own_proof_sent_back_to_it_is_no_proof_of_a_head() -> None:
    prover, verifier = client(), head()
    said = prover.receive(verifier.challenge())
    mac, speaks = said[8 + 8 + 32 : 8 + 8 + 32 + 32], said[8 + 8 + 32 + 32 :]
    reflected = MAGIC + bytes((1, 3)) + (len(mac) + len(speaks)).to_bytes(2, "big") + mac + speaks
    with pytest.raises(Refused, match="does not know the key"):
        prover.receive(reflected)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_of_a_proof_can_be_changed(place: int, flip: int) -> None:
    verifier = head()
    said = bytearray(client().receive(verifier.challenge()))
    said[place % len(said)] ^= flip
    try:
        verdict = verifier.receive(said)
    except ProtocolError:
        return
    assert not isinstance(verdict, Accepted)  # a length may say that more is to come


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_of_an_acceptance_can_be_changed(place: int, flip: int) -> None:
    prover, verifier = client(), head()
    verdict = verifier.receive(prover.receive(verifier.challenge()))
    assert isinstance(verdict, Accepted)
    reply = bytearray(verdict.reply)
    reply[place % len(reply)] ^= flip
    try:
        prover.receive(reply)
    except (ProtocolError, Refused):
        return
    assert not prover.is_through


@given(st.binary(min_size=1, max_size=200))
def test_anything_else_than_an_opening_ends_it_at_once_or_waits_for_its_end(noise: bytes) -> None:
    verifier = head()
    if MAGIC.startswith(noise[:4]):
        return
    with pytest.raises(ProtocolError, match="something else than a proof"):
        verifier.receive(noise)


def test_an_opening_may_come_byte_by_byte() -> None:
    verifier, prover = head(), client()
    said = b"".join(prover.receive(bytes((byte,))) for byte in verifier.challenge())
    verdicts = [verifier.receive(bytes((byte,))) for byte in said]
    assert verdicts[:-1] == [None] * (len(said) - 1)
    assert isinstance(verdicts[-1], Accepted)


def test_a_length_beyond_every_opening_is_refused_before_it_is_waited_for() -> None:
    with pytest.raises(ProtocolError):
        head().receive(MAGIC + bytes((1, 2, 255, 255)))


def test_nothing_may_follow_a_proof_before_it_is_answered() -> None:
    verifier = head()
    with pytest.raises(ProtocolError, match="something else"):
        verifier.receive(client().receive(verifier.challenge()) + b"HELLO")


def test_versions_that_share_no_protocol_part_with_both_named_and_the_cure() -> None:
    old, new = Speaks(1, 2, "0.3.1"), Speaks(3, 4, "0.9.0")
    prover, verifier = client(speaks=old), head(speaks=new)
    verdict = verifier.receive(prover.receive(verifier.challenge()))
    assert isinstance(verdict, Accepted)
    assert not new.understands(verdict.speaks)
    with pytest.raises(Refused) as caught:
        prover.receive(verdict.reply)
    assert caught.value.message == (
        "the head at 10.0.0.5:50000 is 0.9.0 (protocols 3-4), and this is 0.3.1 (protocols 1-2)"
    )
    assert caught.value.hint == "pip install clusterer==0.9.0"


@pytest.mark.parametrize(
    ("one", "other"), [((1, 1), (1, 1)), ((1, 3), (3, 5)), ((2, 9), (4, 4)), ((5, 7), (1, 5))]
)
def test_versions_that_share_a_protocol_understand_each_other(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert Speaks(*one, "a").understands(Speaks(*other, "b"))


def test_a_key_that_is_being_replaced_counts_too() -> None:
    verifier = Verifier(Ring(all=(OTHER, KEY)), OURS, NONCES[0])
    prover = client(KEY)
    assert isinstance(meet(prover, verifier), Accepted)


def test_a_token_proves_its_secret_and_gets_its_gift_once() -> None:
    ring = Ring(secrets={b"token-01": b"secret"})

    def redeem() -> Prover:
        prover = Prover(b"secret", OURS, NONCES[1], token=b"token-01", place="desk:50000")
        meet(prover, Verifier(ring, OURS, NONCES[0]))
        return prover

    assert redeem().gift == b"the key"
    with pytest.raises(Refused, match="it was used, or has expired") as caught:
        redeem()
    assert "runner token" in caught.value.hint


def test_a_token_of_another_secret_gets_nothing() -> None:
    ring = Ring(secrets={b"token-01": b"secret"})
    prover = Prover(b"guessed", OURS, NONCES[1], token=b"token-01")
    verifier = Verifier(ring, OURS, NONCES[0])
    verdict = verifier.receive(prover.receive(verifier.challenge()))
    assert isinstance(verdict, Denied)
    assert b"the key" not in verdict.reply
    assert ring.secrets, "a wrong guess does not use it up"


def test_the_door_key_redeems_no_token() -> None:
    ring = Ring(secrets={b"token-01": b"secret"})
    prover = Prover(KEY, OURS, NONCES[1], token=b"token-01")
    verifier = Verifier(ring, OURS, NONCES[0])
    assert isinstance(verifier.receive(prover.receive(verifier.challenge())), Denied)


def test_no_key_shows_where_a_ring_is_printed() -> None:
    assert "kkkk" not in repr(OneKey(KEY))
