"""The keys of a running head: who may come in, and what a change of the key does."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cluster import identity as identities
from pipeline_runner.cluster.certificate import certificate
from pipeline_runner.cluster.keyring import FORMER_S
from pipeline_runner.cluster.token import open_gift, parse
from pipeline_runner.errors import UsageError
from pipeline_runner.head.network.keys import Keys
from pipeline_runner.head.network.tls_endpoint import TlsEndpoint
from pipeline_runner.wire.control_messages import NewKey

if TYPE_CHECKING:
    from pathlib import Path


class Loop:
    """A clock that is set by hand, and does what is due."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, object]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, action: object) -> None:
        self.due.append((when, action))

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        for each in [each for each in self.due if each[0] <= self.now]:
            self.due.remove(each)
            each[1]()  # type: ignore[operator]


class Beacon:
    def __init__(self) -> None:
        self.used: list[tuple[identities.Identity, ...]] = []

    def use(self, *given: identities.Identity) -> None:
        self.used.append(given)


@pytest.fixture
def loop(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("RUNNER_KEY", raising=False)
    return Loop()


@dataclass
class Opened:
    """A head's keys, with what they changed."""

    keys: Keys
    door: TlsEndpoint
    beacon: Beacon
    told: list[identities.Identity]

    def accepted(self) -> list[bytes]:
        return [each.door_key for each in self.door.keyring.accepted(self.keys._loop.time())]


def opened(loop: Loop, folder: Path, bind: str = "0.0.0.0") -> Opened:
    pipeline: Any = SimpleNamespace(state_dir=folder)
    door = TlsEndpoint(pipeline, identities.load_or_make("p"), loop.time)
    door.port = 50001
    beacon, told = Beacon(), []

    def tell(identity: identities.Identity) -> int:
        told.append(identity)
        return 3

    keys = Keys(door, bind, beacon, loop, tell)  # type: ignore[arg-type]
    return Opened(keys, door, beacon, told)


def test_a_token_leads_to_the_door_and_is_good_for_the_key_once(loop: Loop, tmp_path: Path) -> None:
    head = opened(loop, tmp_path)
    facts = head.keys.token(120)
    token = parse(facts["token"])
    assert (token.name, token.port) == ("p", 50001)
    assert token.fingerprint == certificate(tmp_path).fingerprint
    assert token.addresses == ("127.0.0.1",)  # no other network for tests
    assert head.door.tokens.secret(token.id, loop.now + 119) == token.secret
    assert open_gift(head.door.tokens.redeem(token.id, loop.now)) == identities.load_or_make("p")
    assert head.door.tokens.secret(token.id, loop.now) is None


def test_a_token_of_a_head_that_serves_one_address_names_that_one(
    loop: Loop, tmp_path: Path
) -> None:
    head = opened(loop, tmp_path, "10.0.0.5")
    assert parse(head.keys.token()["token"]).addresses == ("10.0.0.5",)


def test_a_new_key_reaches_hosts_the_beacon_and_new_tokens_and_the_former_dies(
    loop: Loop, tmp_path: Path
) -> None:
    head = opened(loop, tmp_path)
    old = identities.load_or_make("p")
    assert head.accepted() == [old.door_key]
    assert head.keys.news is None
    assert head.keys.rotate() == {"name": "p", "hosts": 3, "former_s": FORMER_S}
    (new,) = head.told
    assert new == identities.load_or_make("p") != old
    assert head.accepted() == [new.door_key, old.door_key]
    assert head.keys.news == new
    token = parse(head.keys.token()["token"])
    assert open_gift(head.door.tokens.redeem(token.id, loop.now)) == new
    loop.pass_s(FORMER_S)
    assert head.accepted() == [new.door_key]
    assert head.keys.news is None
    assert head.beacon.used == [(new, old), (new,)]


def test_a_key_of_the_environment_stays(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_KEY", "sixteen bytes or more")
    head = opened(loop, tmp_path)
    with pytest.raises(UsageError, match="comes from RUNNER_KEY"):
        head.keys.rotate()
    assert head.told == []
    assert head.beacon.used == []


def test_the_message_that_carries_a_key_does_not_show_it() -> None:
    assert repr(NewKey(b"secret")) == "NewKey(...)"
