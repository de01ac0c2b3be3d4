"""Programs of the example, run as a user does: each a process that writes to a file of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.kit import MARK, marked, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "clusterer"


class Started:
    """The programs that a test started."""

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.mark = f"{mark}-{os.getpid()}"
        self.popens: list[subprocess.Popen[bytes]] = []

    def python(self, name: str, *, to: str = "") -> subprocess.Popen[bytes]:
        with (self.folder / f"{to or name}.out").open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-u", f"{name}.py"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, MARK: self.mark},
                start_new_session=True,
            )
        self.popens.append(popen)
        return popen

    def out(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    def server(self, name: str = "server") -> subprocess.Popen[bytes]:
        popen = self.python(name)
        until(lambda: "serving" in self.out(name), "the server serves")
        return popen

    def end(self) -> None:
        for pid in marked(self.mark):
            os.kill(pid, signal.SIGKILL)
        for popen in self.popens:
            popen.wait()


def numbers(out: str, word: str) -> list[int]:
    return [int(found) for found in re.findall(rf"^{word} (-?\d+)$", out, re.MULTILINE)]
