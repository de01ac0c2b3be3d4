"""How a machine gets a key and keeps it through a change of it, and that nobody else sees one."""

from __future__ import annotations

import json
import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kit import RUNNER, chain, stage, until
from tests.hosts.site import Joined, Site, site
from tests.hosts.tap import tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hosts.lan import Host, Lan

DOCUMENT = (
    stage("numbers", "functions:held_back")
    + stage("work", "functions:work", "per_host = 1")
    + stage("keep", "functions:keep")
    + chain("numbers", "work", "keep")
)


@pytest.fixture
def sites(network: Callable[..., Lan]) -> Iterator[Callable[..., Site]]:
    with ExitStack() as made:

        def make(lan: Lan, head: str) -> Site:
            one = made.enter_context(site(lan, head))
            one.write(DOCUMENT, items=20)
            one.open_gate("fast")
            return one

        yield make


def ask(ours: Site, *command: str) -> Any:
    """Run a command on the head's host that answers in JSON."""
    file = str(ours.project.root / "pipeline.toml")
    return json.loads(ours.head.run(RUNNER, *command, "-f", file, "--json").stdout)


def joins_with(ours: Site, host: Host, token: str) -> Joined:
    """Start ``runner join -`` with a token on its standard input."""
    file = host.home / "token"
    file.write_text(token)
    return ours.begin(host, "sh", "-c", f"exec {RUNNER} join --once - < {file}")


def pids(ours: Site, host: str) -> list[int]:
    """Return the pids of a host's workers, as ``ps`` tells."""
    hosts = ours.run.look().get("hosts", ())
    return [worker["pid"] for each in hosts if each["name"] == host for worker in each["workers"]]


def kept(host: Host) -> Path:
    return host.home / "config" / "runner" / "p.key"


def test_a_token_lets_one_machine_join_once_and_keep_the_key(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi", "lab")
    ours = sites(lan, "desk")
    ours.up()
    token = ask(ours, "token")["token"]
    with tap(lan, lan["pi"]) as heard:
        joins_with(ours, lan["pi"], token)
        until(lambda: ours.workers().get("pi"), "it works here")
    assert kept(lan["pi"]).read_text().strip() == ours.key
    assert stat.S_IMODE(kept(lan["pi"]).stat().st_mode) == 0o600
    told = b"".join(packet.data for packet in heard.packets)
    assert ours.key.encode() not in told
    assert bytes.fromhex(ours.key) not in told
    again = joins_with(ours, lan["lab"], token)
    assert again.ended() == 4
    assert "it was used, or has expired" in again.said
    assert token not in again.said
    assert not kept(lan["lab"]).exists()


def test_a_new_key_reaches_joined_hosts_and_lets_them_in_again_and_no_former_one_does(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi", "lab")
    ours = sites(lan, "desk")
    file = ours.project.root / "pipeline.toml"
    file.write_text(file.read_text().replace('durability = "memory"', 'durability = "fsync"'))
    ours.up()
    joined = ours.join(lan["pi"])
    until(lambda: ours.workers().get("pi"), "it works here")
    worked = pids(ours, "pi")
    assert ask(ours, "key", "rotate") == {"name": "p", "hosts": 1, "former_s": 60.0}
    new = kept(lan["desk"]).read_text()
    assert new.strip() != ours.key
    until(lambda: kept(lan["pi"]).read_text() == new, "the host keeps the new key")
    until(lambda: "the head has a new key" in joined.said, "and says so")
    # The next head never knew the former key: agent and workers get in by the new one alone.
    ours.run.popen.kill()
    ours.run.popen.wait()
    until(lambda: "looks for it" in joined.said, "the host sees that its head is gone")
    ours.key = new.strip()
    ours.up()
    until(lambda: pids(ours, "pi") == worked, "the same processes go on")
    with_old = ours.begin(lan["lab"], RUNNER, "join", "--once", RUNNER_KEY="a" * 64)
    assert with_old.ended() == 3


def test_a_host_that_was_away_while_the_key_changed_gets_the_new_one_when_it_is_back(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    ours.join(lan["pi"])
    until(lambda: ours.workers().get("pi"), "it works here")
    lan["pi"].reset()
    lan["pi"].cut()
    until(lambda: ours.state("pi") != "up", "it is away")
    ask(ours, "key", "rotate")
    new = kept(lan["desk"]).read_text()
    assert kept(lan["pi"]).read_text() != new
    lan["pi"].mend()
    until(lambda: kept(lan["pi"]).read_text() == new, "it was let in with the former, and told")
    until(lambda: ours.workers().get("pi"), "it works here again")


def test_a_token_on_a_command_line_is_sent_nowhere_and_its_owner_is_told(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    token = ask(ours, "token")["token"]
    with tap(lan, lan["pi"]) as heard:
        began = ours.join(lan["pi"], token)
        assert began.ended() == 2
    assert "a token goes to the standard input" in began.said
    assert token not in began.said
    assert not [packet for packet in heard.packets if packet.source == lan["pi"].address]


def test_a_key_of_the_environment_stays_with_the_agent_it_was_given_to(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    joined = ours.begin(lan["pi"], RUNNER, "join", RUNNER_KEY=ours.key)
    until(lambda: ours.workers().get("pi"), "it works here")
    assert not kept(lan["pi"]).exists()
    agent = Path(f"/proc/{joined.popen.pid}/environ").read_bytes()
    assert ours.key.encode() in agent  # so it would be seen in a worker's
    for pid in pids(ours, "pi"):
        assert ours.key.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_no_key_stands_in_any_argv_environment_log_or_file_of_a_run(
    network: Callable[..., Lan],
    sites: Callable[..., Site],
    record_property: Callable[[str, object], None],
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    # Who has a project in their home folder has their keys in it too.
    theirs = [ours.project.root / name for name in ("p.key", ".config/runner/p.before.key")]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ours.key)
    ours.up()
    joined = ours.join(lan["pi"])
    until(lambda: ours.workers().get("pi") and ours.workers().get("desk"), "both work")
    pids = [pid for host in (lan["desk"], lan["pi"]) for pid in host.pids()]
    assert len(pids) >= 6
    seen = {}
    for pid in pids:
        for what in ("cmdline", "environ"):
            seen[f"{pid} {what}"] = Path(f"/proc/{pid}/{what}").read_bytes()
    ours.open_gate("all-here")
    ours.open_gate("end")
    ended = ours.run.wait()
    assert ended.code == 0
    seen |= {"out": ended.out.encode(), "err": ended.err.encode(), "join": joined.said.encode()}
    for folder in (ours.project.root, lan["desk"].home, lan["pi"].home):
        for path in folder.rglob("*"):
            if path.is_file() and path not in (kept(lan["desk"]), kept(lan["pi"]), *theirs):
                seen[str(path)] = path.read_bytes()
    assert any(".runner" in where for where in seen)
    assert any("pi/cache" in where and "functions.py" in where for where in seen)
    for secret in (ours.key.encode(), bytes.fromhex(ours.key)):
        assert [where for where, data in seen.items() if secret in data] == []
    record_property("places looked at", len(seen))
    assert os.environ.get("RUNNER_KEY") is None


@pytest.mark.slow
def test_when_the_former_key_is_over_hosts_come_in_by_the_new_one_and_keep_their_items(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    joined = ours.join(lan["pi"])
    until(lambda: ours.workers().get("pi"), "it works here")
    worked = pids(ours, "pi")
    ask(ours, "key", "rotate")
    before = ends(lan["pi"])
    until(lambda: not before & ends(lan["pi"]), "its connections have ended", within_s=80)
    until(lambda: ours.state("pi") == "up" and ends(lan["pi"]), "it is in again")
    assert pids(ours, "pi") == worked
    ours.open_gate("all-here")
    ours.open_gate("end")
    assert ours.run.wait().code == 0
    assert sorted(ours.kept().values()) == list(range(20))
    assert len(ours.notes("work")) == 20, "nothing ran twice"
    assert "died" not in joined.said


def ends(host: Host) -> set[str]:
    """Return the ends of its TCP connections."""
    listed = host.run("ss", "-H", "-n", "--tcp", "state", "established").stdout
    return {" ".join(line.split()[2:4]) for line in listed.splitlines()}
