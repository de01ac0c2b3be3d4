"""The older library's servers and clients on machines of their own: no address is typed."""

from __future__ import annotations

import re
import secrets
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.clusterer.programs import EXAMPLE, numbers
from tests.e2e.kit import until
from tests.hosts.site import site

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hosts.lan import Host, Lan
    from tests.hosts.site import Joined, Site


def copied(host: Host, key: str) -> None:
    """Copy the example to a host, as its user would, with a key of their own."""
    for path in EXAMPLE.glob("*.py"):
        text = path.read_text().replace("sleep(2)", "sleep(.05)")
        (host.home / path.name).write_text(re.sub(r"authkey=b'[^']*'", f"authkey=b'{key}'", text))


def start(ours: Site, host: Host, program: str) -> Joined:
    return ours.begin(host, sys.executable, "-u", f"{program}.py")


def test_machines_find_the_server_and_share_the_work_it_gives_them(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi", "lab")
    with ExitStack() as stack:
        ours = stack.enter_context(site(lan, "desk"))
        key = secrets.token_hex(16)
        for host in lan.hosts.values():
            copied(host, key)
        server = start(ours, lan["desk"], "function_server")
        pi = start(ours, lan["pi"], "function_client")
        until(lambda: len(numbers(pi.said, "Print")) >= 3, "numbers come out on the pi")
        lab = start(ours, lan["lab"], "function_client")
        until(lambda: "Sqare" in lab.said, "the lab takes its share")
        assert re.search(
            r"^pi runs Generate x1, Square x\d+, Subtract1 x1, Print x1$", server.said, re.MULTILINE
        )
        assert re.search(r"^lab runs .*Square x\d+", server.said, re.MULTILINE)
        lan["pi"].power_off()
        until(lambda: "pi has left" in server.said, "the server sees that it is gone")
        until(lambda: len(numbers(lab.said, "Print")) >= 3, "the lab does it all")
        assert "Traceback" not in server.said + lab.said


def test_a_broadcast_client_finds_its_server_on_another_machine(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "pi")
    with ExitStack() as stack:
        ours = stack.enter_context(site(lan, "desk"))
        key = secrets.token_hex(16)
        for host in lan.hosts.values():
            copied(host, key)
        pi = start(ours, lan["pi"], "broadcast_client")
        start(ours, lan["desk"], "broadcast_server")
        until(lambda: len(numbers(pi.said, "Print")) >= 3, "numbers come out")
        assert "Traceback" not in pi.said
