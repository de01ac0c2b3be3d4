"""``runner doctor``: what is judged, and what a person sees of it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_runner.cli import examination, findings
from pipeline_runner.cluster.discovery import Found
from pipeline_runner.cluster.identity import Identity
from pipeline_runner.cluster.interfaces import LOCAL, Interface, Links, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.cli.findings import Finding

GIB = 1024**3
LO = Interface("lo", "127.0.0.1", "127.255.255.255")
WLAN = Interface("wlan0", "192.168.1.7", "192.168.1.255")
HEAD = Found(
    Identity("thumbs", b"secret"),
    "0" * 16,
    "thumbs",
    "10.0.0.5",
    50000,
    "ab" * 32,
    (1, 1),
    "1.0",
    1,
    "",
    "desk",
    0.01,
)


def test_every_part_of_a_machine_is_looked_at(runner: Callable[..., Any], project: Path) -> None:
    ended = runner("doctor", "--json")
    facts = json.loads(ended.out)
    assert [each["name"] for each in facts if each["name"] != "network"] == [
        "version",
        "discovery",
        "port",
        "firewall",
        "heads",
        "clock",
        "disk",
        "inotify",
        "open files",
    ]
    assert any(each["name"] == "network" for each in facts)
    assert {each["state"] for each in facts} <= {"ok", "warn", "error"}
    assert all(each["cure"] for each in facts if each["state"] != "ok")
    assert ended.code == any(each["state"] == "error" for each in facts)


def test_doctor_works_without_a_pipeline_and_in_plain_words(
    runner: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = runner("doctor")
    assert "ok     version     runner " in ended.out
    assert "\x1b" not in ended.out
    assert ended.err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_cannot_be_used_is_an_error_with_its_cure(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_KEY", "hunter2")
    ended = runner("doctor", "-q")
    assert ended.code == 1
    assert "error  key         the key in RUNNER_KEY is too short for a network: 7 bytes of 16" in (
        ended.out
    )
    assert "cure: python3 -c" in ended.out
    assert "hunter2" not in ended.out + ended.err
    assert "ok " not in ended.out


def test_a_port_that_is_taken_is_told_with_the_cure(
    runner: Callable[..., Any], project: Path
) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        file = project / "pipeline.toml"
        file.write_text(f"{file.read_text()}\n[server]\nport = {port}\n")
        facts = json.loads(runner("doctor", "--json").out)
    (listens,) = [each for each in facts if each["name"] == "port"]
    assert listens["state"] == "warn"
    assert listens["text"] == f"TCP port {port}: another program has it"


def test_the_head_of_this_pipeline_may_have_its_port(
    runner: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination.project, "head_pid", lambda _state: 4711)
    facts = json.loads(runner("doctor", "--json").out)
    assert {"name": "port", "state": "ok", "text": "the head runs, pid 4711", "cure": ""} in facts


def states(found: list[Finding]) -> list[str]:
    return [each.state for each in found]


def test_a_network_is_needed_and_what_is_left_out_is_named() -> None:
    assert states(findings.networks(Links((WLAN, LO)))) == ["ok"]
    docker = Skipped("docker0", "nothing is connected to it")
    usable, skipped = findings.networks(Links((WLAN, LO), (docker,)))
    assert usable.text == "wlan0 192.168.1.7, broadcasts go to 192.168.1.255"
    assert skipped.text == "skipped: docker0 (nothing is connected to it)"
    (alone,) = findings.networks(Links((LO,), (docker,)))
    assert alone.state == "warn"
    assert "docker0" in alone.text
    assert states(findings.networks(Links((LO,)))) == ["warn"]


def test_a_network_that_may_not_be_used_is_no_cable_that_is_missing() -> None:
    (alone,) = findings.networks(Links((LO,), (Skipped("eth0", LOCAL),)))
    assert alone.text == "none leads to other machines; skipped: eth0 (RUNNER_LOCAL is set)"
    assert alone.cure.startswith("take RUNNER_LOCAL out of the environment")


def test_heads_that_answer_are_named_with_their_place_and_without_their_key() -> None:
    here = ((1, 1), "1.0")
    assert findings.heads([HEAD], 1, *here).text == "thumbs at 10.0.0.5:50000 (desk)"
    assert findings.heads([], 2, *here).text == "none answers; this machine has 2 keys"
    assert "`runner up` makes one" in findings.heads([], 0, *here).text


def test_a_head_of_another_protocol_is_warned_of_with_both_versions() -> None:
    told = findings.heads([HEAD], 1, (2, 3), "2.0")
    assert told.state == "warn"
    assert told.text == (
        "thumbs speaks protocol 1 (version 1.0), this machine 2 to 3 (version 2.0)"
    )
    assert told.cure == "upgrade the head: pip install clusterer==2.0"


@pytest.mark.parametrize(
    ("finding", "state", "words"),
    [
        (findings.udp(50000, ""), "ok", "can be listened on"),
        (findings.udp(50000, "another program has it"), "warn", "another program has it"),
        (findings.tcp(50000, "", None), "ok", "is free"),
        (findings.firewall("", 50000), "ok", "neither"),
        (findings.firewall("ufw", 50001), "warn", "ufw is on"),
        (findings.firewall("firewalld", 50001), "warn", "firewalld is on"),
        (findings.clock(1970, "1970-01-01", None), "warn", "it is not 1970"),
        (findings.clock(2026, "2026-01-01", False), "warn", "not synchronised"),
        (findings.clock(2026, "2026-01-01", True), "ok", "2026-01-01, synchronised"),
        (findings.clock(2026, "2026-01-01", None), "ok", "2026-01-01"),
        (findings.disk(".runner", 5 * GIB, "ext4", ""), "ok", "5.0G free in .runner, ext4"),
        (findings.disk(".runner", GIB // 2, "ext4", ""), "warn", "512M free"),
        (findings.disk(".runner", 1000, "ext4", ""), "error", "1000B free"),
        (findings.disk(".runner", 5 * GIB, "tmpfs", ""), "warn", "do not survive a restart"),
        (findings.disk(".runner", 5 * GIB, "nfs4", ""), "warn", "may not hold"),
        (findings.disk(".runner", 0, "", "cannot be written to"), "error", "cannot be written"),
        (findings.watches(192_536, 128), "ok", "192,536 files"),
        (findings.watches(4096, 128), "warn", "2 s late"),
        (findings.watches(None, None), "ok", "no limit"),
        (findings.descriptors(1024, 4096), "ok", "1,024"),
        (findings.descriptors(256, 4096), "warn", "runs out"),
    ],
)
def test_each_fact_is_judged(finding: Finding, state: str, words: str) -> None:
    assert finding.state == state
    assert words in finding.text
    assert bool(finding.cure) == (state != "ok")


def test_a_cure_names_this_port_and_does_not_lower_a_limit() -> None:
    assert findings.firewall("ufw", 50001).cure.endswith(
        "ufw allow 50001/udp && ufw allow 50001/tcp"
    )
    assert findings.watches(1_000_000, 10).cure == (
        "sysctl fs.inotify.max_user_watches=1000000 fs.inotify.max_user_instances=128"
    )
    assert findings.descriptors(256, 512).cure == "ulimit -n 512"


def test_wsl_is_told_that_its_network_is_an_inner_one() -> None:
    assert findings.subsystem(False) == []
    (told,) = findings.subsystem(True)
    assert (told.state, "mirrored" in told.cure) == ("warn", True)


def test_a_folder_that_cannot_be_written_is_found_where_it_would_be_made(tmp_path: Path) -> None:
    there = examination._disk(tmp_path / "not" / "yet")
    assert there.state in ("ok", "warn")
    assert "free in" in there.text
