"""The keys of a running head: who may come in, and what a change of the key does."""

from __future__ import annotations

import pytest

from pipeline_runner.cluster import identity as identities
from pipeline_runner.cluster.keyring import FORMER_S
from pipeline_runner.cluster.token import open_gift, parse
from pipeline_runner.errors import UsageError
from pipeline_runner.head.keys import Keys
from pipeline_runner.queues.messages import NewKey

FINGERPRINT = "ab" * 32


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


def keys(loop: Loop, told: list[identities.Identity]) -> Keys:
    def tell(identity: identities.Identity) -> int:
        told.append(identity)
        return 3

    return Keys(identities.load_or_make("p"), loop, tell)  # type: ignore[arg-type]


def test_a_head_without_a_network_gives_out_no_token(loop: Loop) -> None:
    with pytest.raises(UsageError, match="runs without a network"):
        keys(loop, []).token()


def test_a_token_leads_to_the_door_and_is_good_for_the_key_once(loop: Loop) -> None:
    mine = keys(loop, [])
    mine.opened("0.0.0.0", 50001, FINGERPRINT)
    facts = mine.token(120)
    token = parse(facts["token"])
    assert (token.name, token.port, token.fingerprint) == ("p", 50001, FINGERPRINT)
    assert token.addresses == ("127.0.0.1",)  # no other network for tests
    assert mine.secret(token.id) == token.secret
    loop.pass_s(119)
    assert open_gift(mine.redeem(token.id)) == identities.load_or_make("p")
    assert mine.secret(token.id) is None


def test_a_token_of_a_head_that_serves_one_address_names_that_one(loop: Loop) -> None:
    mine = keys(loop, [])
    mine.opened("10.0.0.5", 50000, FINGERPRINT)
    assert parse(mine.token()["token"]).addresses == ("10.0.0.5",)


def test_a_new_key_reaches_hosts_the_beacon_and_new_tokens_and_the_former_dies(
    loop: Loop,
) -> None:
    told: list[identities.Identity] = []
    mine = keys(loop, told)
    mine.opened("0.0.0.0", 50001, FINGERPRINT)
    mine.beacon = beacon = Beacon()  # type: ignore[assignment]
    old = identities.load_or_make("p")
    assert mine.keys() == [old.door_key]
    assert mine.news is None
    assert mine.rotate() == {"name": "p", "hosts": 3, "former_s": FORMER_S}
    (new,) = told
    assert new == identities.load_or_make("p") != old
    assert mine.keys() == [new.door_key, old.door_key]
    assert mine.news == new
    token = parse(mine.token()["token"])
    assert open_gift(mine.redeem(token.id)) == new
    loop.pass_s(FORMER_S)
    assert mine.keys() == [new.door_key]
    assert mine.news is None
    assert beacon.used == [(new, old), (new,)]


def test_a_key_of_the_environment_stays(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_KEY", "sixteen bytes or more")
    told: list[identities.Identity] = []
    mine = keys(loop, told)
    with pytest.raises(UsageError, match="comes from RUNNER_KEY"):
        mine.rotate()
    assert told == []


def test_the_message_that_carries_a_key_does_not_show_it() -> None:
    assert repr(NewKey(b"secret")) == "NewKey(...)"
