"""The first join of a machine: which of a token's addresses gets it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.agent.discovery import join as joining
from pipeline_runner.cluster.identity import Identity, known, load_or_make
from pipeline_runner.cluster.token import Token, Tokens
from pipeline_runner.errors import NoHead, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.wire.endpoint import Endpoint

IDENTITY = Identity("thumbs", b"k" * 64)
SECRET = bytes(range(16))
GONE = NoHead("nobody listens there", hint="another way")
STRANGER = Refused("another head is there", hint="its certificate is another")


@pytest.fixture
def join(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Give a join by a token whose addresses answer as told: with an error, or the gift."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("RUNNER_KEY", raising=False)

    def join(**answers: Exception | None) -> Any:
        head = Tokens(IDENTITY)
        head.issue(SECRET, now=0)

        def redeem(door: Endpoint, token_id: bytes, _timeout_s: float) -> bytes:
            assert door.key == SECRET.hex()
            answer = answers[door.host]
            if answer is not None:
                raise answer
            return head.redeem(token_id, 0)

        monkeypatch.setattr(joining, "redeem", redeem)
        monkeypatch.setattr(joining, "open_wire", lambda door, _timeout_s: door)
        token = Token("thumbs", tuple(answers), 50001, "ab" * 32, SECRET, 0)
        return joining.by_token(token.text())

    return join


def test_the_first_address_that_takes_the_token_is_the_heads(join: Callable[..., Any]) -> None:
    meeting = join(a=GONE, b=STRANGER, c=None, d=STRANGER)
    assert (meeting.identity, meeting.way.door.host) == (IDENTITY, "c")
    assert meeting.way.door.key == IDENTITY.door_key.hex()
    assert meeting.way.door.fingerprint == "ab" * 32
    assert known() == [IDENTITY]
    assert meeting.aside is None


def test_another_key_of_that_name_is_put_aside_and_its_place_is_told(
    join: Callable[..., Any],
) -> None:
    before = load_or_make("thumbs")
    meeting = join(a=None)
    assert meeting.aside.read_text().strip() == before.key.decode()
    assert known() == [IDENTITY]


def test_a_refusal_is_told_rather_than_silence_elsewhere_and_no_key_is_kept(
    join: Callable[..., Any],
) -> None:
    with pytest.raises(Refused, match="another head is there"):
        join(a=STRANGER, b=GONE)
    assert known() == []


def test_silence_everywhere_names_the_addresses(join: Callable[..., Any]) -> None:
    with pytest.raises(NoHead, match="no head of thumbs answers at a, b, port 50001") as caught:
        join(a=GONE, b=GONE)
    assert caught.value.hint == "another way"
