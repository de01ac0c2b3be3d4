"""Who has no key, another key or another Python: told in a line, and given no work; who listens."""

from __future__ import annotations

import secrets
import shutil
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import chain, stage, until
from tests.hosts.site import FUNCTIONS, RUNNER, Site, site
from tests.hosts.tap import TCP, tap

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
    """Give a maker of sites: ``sites(lan, "desk")``, each with a small project."""
    with ExitStack() as made:

        def make(lan: Lan, head: str, items: int = 20) -> Site:
            one = made.enter_context(site(lan, head))
            one.write(DOCUMENT, items=items)
            one.open_gate("fast")
            return one

        yield make


def port_of(site: Site) -> int:
    """Return the port of a head's TCP door, as its host tells."""
    words = site.head.run("ss", "-H", "-l", "-n", "--tcp").stdout.split()
    return int(next(word for word in words if ":" in word).rpartition(":")[2])


def test_two_pipelines_of_one_name_with_different_keys_never_meet(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "lab", "pi")
    ours, theirs = sites(lan, "desk"), sites(lan, "lab")
    ours.up()
    theirs.up()
    with tap(lan, lan["pi"]) as heard:
        theirs.join(lan["pi"])
        until(lambda: theirs.workers().get("pi"), "it works for the pipeline of its key")
    assert heard.between(lan["pi"].address, lan["lab"].address, TCP)
    assert not heard.between(lan["pi"].address, lan["desk"].address, TCP)
    assert [
        packet.data
        for packet in heard.packets
        if packet.to == lan["pi"].address and packet.source == lan["desk"].address
    ] == []
    assert not ours.state("pi")
    assert not ours.state("lab")


def test_a_second_head_of_the_same_name_and_key_is_refused_and_told_where_the_first_is(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "lab")
    first, second = sites(lan, "desk"), sites(lan, "lab")
    first.up()
    second.give_key(lan["lab"], first.key)
    began = second.begin(lan["lab"], RUNNER, "up", "-f", str(second.project.root / "pipeline.toml"))
    assert began.ended() == 2
    assert f"{lan['desk'].address}:{port_of(first)}" in began.said
    assert "desk" in began.said
    assert first.run.look()["state"] in ("starting", "running")


def test_two_folders_of_one_name_on_one_machine_are_told_to_take_another_name(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk")
    first = sites(lan, "desk")
    other = first.project.root.with_name("other")
    shutil.copytree(first.project.root, other)
    first.up()
    began = first.begin(lan["desk"], RUNNER, "up", str(other))
    assert began.ended() == 2
    assert (
        "another folder of this machine runs a pipeline that is called p, "
        f"at port {port_of(first)}\n"
    ) in began.said
    assert 'change `name = "p"` in [pipeline] of one of the two' in began.said
    assert "runner up --local" in began.said


def refused(site: Site, host: Host) -> str:
    """Return what a join says that ends at once; "" if only one head was quick enough for it."""
    asked = site.join(host)
    until(lambda: asked.popen.poll() is not None or "found" in asked.said, "it says something")
    if asked.popen.poll() is None:
        asked.popen.kill()
        return ""
    assert asked.popen.returncode == 2
    return asked.said


def test_where_two_networks_with_such_heads_became_one_a_host_asks_which_is_meant(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "lab", "pi")
    ours, theirs = sites(lan, "desk"), sites(lan, "lab")
    theirs.key = ours.key
    lan["lab"].cut()
    ours.up()
    theirs.up()
    # A head that answers its own command line may not have looked for another one yet.
    until(lambda: theirs.workers().get("lab"), "it has not found another")
    lan["lab"].mend()
    asked = until(lambda: refused(ours, lan["pi"]), "both have answered in time")
    assert "several heads answer" in asked
    assert f"p at {lan['desk'].address}:50000 (desk)" in asked
    assert f"p at {lan['lab'].address}:50000 (lab)" in asked
    theirs.join(lan["pi"], "--head", "lab")
    until(lambda: theirs.workers().get("pi"), "it works for the one that was meant")


def test_a_wrong_key_is_told_in_one_line_with_its_cure_and_takes_nobody_in(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    ours.give_key(lan["pi"], wrong := secrets.token_hex(32))
    address = f"{lan['desk'].address}:{port_of(ours)}"
    began = ours.begin(lan["pi"], RUNNER, "join", address)
    assert began.ended() == 4
    fault, cure = began.said.splitlines()
    assert fault.startswith("error: ")
    assert "key" in fault
    assert "runner token" in cure
    assert wrong not in began.said
    assert ours.key not in began.said
    assert not ours.state("pi")


def test_by_broadcast_a_wrong_key_finds_nobody_and_hears_what_may_be_the_matter(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    ours.up()
    ours.give_key(lan["pi"], secrets.token_hex(32))
    began = ours.begin(lan["pi"], RUNNER, "join", "--once")
    assert began.ended() == 3
    assert f"no head answered in 3 s on eth0 {lan['pi'].address}" in began.said
    assert "another key" in began.said
    assert "runner join HOST:" in began.said


SECRETS = (
    b"a-secret-in-a-file",
    b"a-secret-in-an-item",
    b"a-secret-that-is-printed",
    b"functions",
    b"numbers",
    b"pass_gate",
    b"NOTES",
)
TELLING = (
    FUNCTIONS
    + """

# a-secret-in-a-file

def numbers():
    for number in range(int(os.environ["N"])):
        yield f"a-secret-in-an-item {number}"


def work(text):
    print("a-secret-that-is-" + "printed")
    note("work", text, context().host, os.getpid())
    return text
"""
)


def test_on_the_wire_there_is_no_word_of_files_items_or_stages(
    network: Callable[..., Lan], sites: Callable[..., Site]
) -> None:
    lan = network("desk", "pi")
    ours = sites(lan, "desk")
    document = stage("numbers", "functions:held_back")
    document += stage("work", "functions:work", 'constraints = ["host == pi"]')
    document += stage("keep", "functions:keep") + chain("numbers", "work", "keep")
    ours.write(document, items=500, functions=TELLING)
    with tap(lan) as heard:
        ours.up()
        ours.join(lan["pi"])
        until(lambda: ours.workers().get("pi"), "it works")
        ours.open_gate("all-here")
        ours.open_gate("end")
        ended = ours.run.wait()
    assert ended.code == 0, ended.err
    assert {begun[0][0] for begun in ours.begun().values()} == {"pi"}
    talk = heard.between(lan["desk"].address, lan["pi"].address, TCP)
    assert sum(len(packet.data) for packet in talk) > 20_000, "files and items went over it"
    flows: defaultdict[tuple[str, int, str, int], bytes] = defaultdict(
        bytes
    )  # a word may lie across two packets of a connection
    for packet in heard.packets:
        flows[packet.source, packet.source_port, packet.to, packet.to_port] += packet.data
    words = (*SECRETS, ours.key.encode())
    assert [word for word in words if any(word in data for data in flows.values())] == []
