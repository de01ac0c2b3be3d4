"""docs/three-machines.md, done: the example on three machines that have never met."""

from __future__ import annotations

import gzip
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kit import RUNNER, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hosts.lan import Host, Lan

REPOSITORY = Path(__file__).resolve().parents[2]
WIDTH = 160
STRIPS = 25
FOUND = re.compile(r"^found +three-machines at 10\.77\.0\.1:", re.MULTILINE)
ASSEMBLE = """
import sys, functions
sys.stdout.buffer.write(functions.png(sys.stdin.buffer.read()))
"""


class Started:
    """A command on a host, its words in a file."""

    def __init__(self, host: Host, folder: Path, *words: str, given: str = "") -> None:
        self._log = host.home / f"{'-'.join(words[:2])}.log"
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(
                host.command(RUNNER, *words, WIDTH=str(WIDTH)),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        assert self.popen.stdin is not None
        self.popen.stdin.write(given)
        self.popen.stdin.close()

    @property
    def said(self) -> str:
        return self._log.read_text()


@pytest.mark.slow
def test_three_machines_that_have_never_met_trace_one_picture(
    network: Callable[..., Lan],
) -> None:
    lan = network("desk", "laptop", "nas")
    desk, laptop, nas = lan["desk"], lan["laptop"], lan["nas"]
    project = desk.home / "three_machines"
    shutil.copytree(REPOSITORY / "examples" / "three_machines", project)
    up = Started(desk, project, "up", "--ui", "plain")

    def token() -> str:
        asked = subprocess.run(
            desk.command(RUNNER, "token"),
            cwd=project,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return asked.stdout

    until(lambda: "runner join" in up.said, "it says how to join")
    # The laptop first: with the nas in, the pipeline can come to its end.
    joined = []
    for host, label in ((laptop, ()), (nas, ("--label", "disk=big"))):
        joined.append(Started(host, host.home, "join", "-", *label, given=until(token, "a token")))
        until(lambda: FOUND.search(joined[-1].said), "it found the head")
    assert up.popen.wait(90) == 0, up.said
    assert f"{WIDTH} x {WIDTH * 5 // 8} pixels in " in up.said
    shares = dict(re.findall(r"(\w+) rendered (\d+) of 25 strips", up.said))
    assert sum(map(int, shares.values())) == STRIPS
    assert shares.keys() <= lan.hosts.keys()
    picture = (project / ".runner" / "picture.png").read_bytes()
    assert struct.unpack(">II", picture[16:24]) == (WIDTH, WIDTH * 5 // 8)

    for each in joined:
        each.popen.send_signal(signal.SIGINT)
    assert [each.popen.wait(20) for each in joined] == [0, 0], [each.said for each in joined]

    archived = sorted(nas.home.rglob("archive/*.rgb.gz"))
    assert [path.name for path in archived] == [f"{n:03}.rgb.gz" for n in range(STRIPS)]
    assert not list(laptop.home.rglob("*.rgb.gz"))
    assembled = subprocess.run(
        [sys.executable, "-c", ASSEMBLE],
        cwd=project,
        env={"WIDTH": str(WIDTH), "PYTHONDONTWRITEBYTECODE": "1"},
        input=b"".join(gzip.decompress(path.read_bytes()) for path in archived),
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert assembled.stdout == picture, "what the nas keeps is what the head put together"
