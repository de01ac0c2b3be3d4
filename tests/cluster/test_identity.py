"""Keys: where they are kept, what is made of them, and that they are never shown."""

from __future__ import annotations

import logging
import os
import stat
import threading
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.cluster import identity as identities
from pipeline_runner.cluster.identity import Identity, derive, known, load_or_make, save
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"a key that is long enough"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_a_key_is_made_on_first_use_and_is_the_same_afterwards(environ: dict[str, str]) -> None:
    made = load_or_make("thumbs", environ=environ)
    assert len(bytes.fromhex(made.key.decode())) == 32
    assert load_or_make("thumbs", environ=environ) == made
    assert load_or_make("other", environ=environ).key != made.key


def test_a_key_is_for_its_owner_alone(environ: dict[str, str]) -> None:
    load_or_make("thumbs", environ=environ)
    file = identities.key_file("thumbs", environ)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_a_key_that_others_can_read_is_refused_with_the_cure(environ: dict[str, str]) -> None:
    load_or_make("thumbs", environ=environ)
    file = identities.key_file("thumbs", environ)
    file.chmod(0o640)
    with pytest.raises(UsageError, match="others can read") as caught:
        load_or_make("thumbs", environ=environ)
    assert caught.value.hint == f"chmod 600 {file}"


def test_heads_that_start_at_once_agree_on_one_key(environ: dict[str, str]) -> None:
    barrier = threading.Barrier(8)
    made: list[Identity] = []

    def start() -> None:
        barrier.wait()
        made.append(load_or_make("thumbs", environ=environ))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_the_environment_goes_before_the_file_and_is_the_same_key_as_its_text(
    environ: dict[str, str],
) -> None:
    kept = load_or_make("thumbs", environ=environ)
    text = identities.key_file("thumbs", environ).read_text()
    elsewhere = {"RUNNER_KEY": text, "XDG_CONFIG_HOME": "/nowhere"}
    assert load_or_make("thumbs", environ=elsewhere) == kept
    assert known(elsewhere) == [Identity("", kept.key)]


def test_every_key_of_a_user_is_known(environ: dict[str, str]) -> None:
    assert known(environ) == []
    made = [load_or_make(name, environ=environ) for name in ("a", "b-2")]
    assert known(environ) == made


@pytest.mark.parametrize("key", ["short", "fifteen bytes.."])
def test_a_short_key_is_refused_beyond_this_machine(key: str) -> None:
    environ = {"RUNNER_KEY": key}
    with pytest.raises(UsageError, match="too short for a network"):
        load_or_make("p", environ=environ)
    with pytest.raises(UsageError, match="too short for a network"):
        known(environ)
    assert load_or_make("p", loopback=True, environ=environ).key == key.encode()


@pytest.mark.parametrize("name", ["", "../etc", "a/b", "A", "a--b", "a" * 201])
def test_what_is_no_pipelines_name_is_no_files_name(name: str, environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="cannot be a pipeline's name"):
        load_or_make(name, environ=environ)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff" * 32, b"two\nlines" * 5, b"x" * 5000])
def test_a_file_that_holds_no_key_is_named_and_not_shown(
    content: bytes, environ: dict[str, str]
) -> None:
    load_or_make("thumbs", environ=environ)
    file = identities.key_file("thumbs", environ)
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_or_make("thumbs", environ=environ)
    assert str(file) in caught.value.message
    told = "".join(traceback.format_exception(caught.value))
    assert "xxxx" not in told
    assert "lines" not in told


def test_a_folder_that_cannot_be_written_is_said_with_another_way(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")
    with pytest.raises(UsageError, match=r"cannot (keep|read) the key"):
        load_or_make("p", environ={"XDG_CONFIG_HOME": str(tmp_path / "config")})


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(identities.Path, "home", nowhere)
    with pytest.raises(UsageError, match="no home folder") as caught:
        load_or_make("p", environ={})
    assert "RUNNER_KEY" in caught.value.hint
    assert load_or_make("p", environ={"RUNNER_KEY": KEY.decode()}).key == KEY


def test_a_file_system_without_links_keeps_a_key_too(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    made = load_or_make("thumbs", environ=environ)
    assert load_or_make("thumbs", environ=environ) == made
    assert list(identities.key_file("thumbs", environ).parent.iterdir()) == [
        identities.key_file("thumbs", environ)
    ]


def test_a_saved_key_replaces_another_which_is_put_aside(environ: dict[str, str]) -> None:
    old = load_or_make("thumbs", environ=environ)
    assert save(old, environ) is None
    new = Identity("thumbs", KEY)
    aside = save(new, environ)
    assert aside is not None
    assert aside.read_bytes().strip() == old.key
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert known(environ) == [new]


def test_an_identity_does_not_show_its_key(caplog: pytest.LogCaptureFixture) -> None:
    identity = Identity("thumbs", KEY)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").warning("%s %r", identity, [identity])
    assert KEY.decode() not in caplog.text
    assert repr(identity) == "Identity(name='thumbs')"


def test_derived_keys_follow_rfc_5869() -> None:
    """Its test case 1, whose salt is another: the expansion alone."""
    pseudo_random = bytes.fromhex(
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    )
    info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    assert identities._expand(pseudo_random, info, 42) == bytes.fromhex(
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


@given(key=st.binary(min_size=1, max_size=64), size=st.integers(1, 96))
def test_what_is_derived_is_stable_and_one_purpose_tells_nothing_of_another(
    key: bytes, size: int
) -> None:
    identity = Identity("p", key)
    assert derive(key, b"x", size) == derive(key, b"x", 96)[:size]
    made = {identity.tag, identity.beacon_key[:8], identity.door_key[:8], key[:8]}
    assert len(made) == 4
    assert len(identity.tag) == 8
