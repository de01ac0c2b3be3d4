"""Measure one family of peers for ``benchmarks.report``: a line of JSON for each kind.

A process of its own, so that a family can be given up on, or confined, without the others.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.families import FAMILIES, found
from benchmarks.ours import Ours
from benchmarks.rounds import KINDS, against

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.families import Family

_SAY_THEIR_VERSION = ("redis-server", "nats-server")


def versions(family: Family) -> dict[str, str]:
    """Return what is installed of what the family's peers are made of."""
    told: dict[str, str] = {}
    for name in family.distributions:
        with suppress(metadata.PackageNotFoundError):
            told[name] = metadata.version(name)
    for name in family.programs:
        if (path := found(name)) is None:
            continue
        if name not in _SAY_THEIR_VERSION:
            # Asking RabbitMQ would leave a daemon behind; its folder has the version in its name.
            if in_path := re.search(
                rf"{name.replace('-', '_')}-([\d.]+)", str(Path(path).resolve())
            ):
                told[name] = in_path[1]
            continue
        with suppress(OSError, subprocess.SubprocessError):
            says = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=30, check=True
            )
            told[name] = says.stdout.strip().split(" sha=")[0].split("v=")[-1].split(": ")[-1]
    return told


def measure(
    family: Family, kinds: list[str], pairs: int, seconds: float, limit_s: float
) -> Iterator[list[dict[str, Any]]]:
    """Give the cells of each of ``kinds``; it has its share of ``limit_s``, but one round at least.

    Raises TrialError if the server does not start.
    """
    shares = sum(KINDS[kind].share for kind in kinds)
    until = time.monotonic()
    with TemporaryDirectory(prefix="bench-") as folder, family.open(Path(folder)) as peers:
        for kind in kinds:
            print(f"{family.name}: {kind}", file=sys.stderr, flush=True)
            until += limit_s * KINDS[kind].share / shares
            in_time = partial(_before, until)
            yield against(Ours(), peers, KINDS[kind], pairs, seconds, in_time)


def _before(until: float) -> bool:
    return time.monotonic() < until


def main(arguments: list[str] | None = None) -> int:
    """Measure and print: the versions, then the cells of each kind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.family", description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.8)
    parser.add_argument("--limit", type=float, default=90.0, help="seconds, by fewer rounds")
    asked = parser.parse_args(arguments)
    # Whoever gives us up wants the servers ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    family = FAMILIES[asked.family]
    print(json.dumps({"versions": versions(family)}), flush=True)
    for cells in measure(family, asked.kinds, asked.pairs, asked.seconds, asked.limit):
        print(json.dumps({"cells": cells}), flush=True)  # kept even if we are given up on
    return 0


if __name__ == "__main__":
    sys.exit(main())
