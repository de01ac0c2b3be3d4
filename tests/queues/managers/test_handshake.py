from __future__ import annotations

import pytest

from pipeline_runner.errors import Refused
from pipeline_runner.queues.managers.handshake import WELCOME, Handshake
from tests.queues.managers.recorded import HANDSHAKES, KEY, RANDOM, Recorded

each_version = pytest.mark.parametrize("recorded", HANDSHAKES.values(), ids=HANDSHAKES.keys())


@each_version
def test_a_recorded_client_of_each_python_is_let_in_and_answered(recorded: Recorded) -> None:
    handshake = Handshake(KEY, RANDOM)
    assert handshake.first() == b"#CHALLENGE#{sha256}" + RANDOM
    assert handshake.receive(recorded.response) == WELCOME
    assert handshake.receive(recorded.challenge) == recorded.answer
    assert not handshake.done
    assert handshake.receive(recorded.welcome) is None
    assert handshake.done


@each_version
def test_the_answer_to_another_challenge_is_refused(recorded: Recorded) -> None:
    handshake = Handshake(KEY, RANDOM[::-1])
    with pytest.raises(Refused):
        handshake.receive(recorded.response)


@each_version
def test_a_client_with_another_key_is_refused(recorded: Recorded) -> None:
    handshake = Handshake(b"passwort", RANDOM)
    with pytest.raises(Refused):
        handshake.receive(recorded.response)


@pytest.mark.parametrize(
    "response",
    [b"", b"#WELCOME#", b"x" * 16, b"{sha256}", b"{sha256}" + b"x" * 32, b"{md4}" + b"x" * 32],
)
def test_what_proves_nothing_is_refused(response: bytes) -> None:
    with pytest.raises(Refused):
        Handshake(KEY, RANDOM).receive(response)


def test_a_stranger_gets_no_challenge_signed() -> None:
    """Else it could have us sign the challenge that we gave it on another connection."""
    handshake = Handshake(KEY, RANDOM)
    with pytest.raises(Refused):
        handshake.receive(b"#CHALLENGE#{sha256}" + RANDOM)


@pytest.mark.parametrize("frame", [b"", b"#FAILURE#", b"#WELCOME#!"])
def test_a_client_that_does_not_welcome_us_is_refused(frame: bytes) -> None:
    recorded = HANDSHAKES["3.12"]
    handshake = Handshake(KEY, RANDOM)
    handshake.receive(recorded.response)
    handshake.receive(recorded.challenge)
    with pytest.raises(Refused):
        handshake.receive(frame)
    assert not handshake.done
