"""Measure this runner beside its peers and write docs/benchmarks.md from what was measured."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import pipeline_runner
from benchmarks.families import FAMILIES, Family, found
from benchmarks.page import page
from benchmarks.rounds import KINDS
from benchmarks.speed import machine

if TYPE_CHECKING:
    from collections.abc import Collection

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "measured.json"
PAGE = ROOT / "docs" / "benchmarks.md"
LIMIT_S_AT_LEAST = 20.0
GIVEN_UP_AFTER_S = 180.0  # past its limit: a family keeps that by fewer rounds, unless it hangs
STOP_S = 60.0  # for a family that was given up on to end its servers
_LOOPBACK_ONLY = 'ip link set lo up && exec "$@"'


def main(arguments: list[str] | None = None) -> int:
    """Measure what is not kept yet, keep it family by family, write the page.

    1 if anything that is installed gave no number; its family is measured again the next time.
    """
    asked = _parser().parse_args(arguments)
    kept = _kept(asked.json)
    failed = False
    wanted = [name for name in asked.only if asked.again or not _has_cells(kept, name, asked.kinds)]
    until = time.monotonic() + asked.minutes * 60
    for done, name in enumerate(() if asked.page_only else wanted):
        # What a family leaves of its time is for those that follow.
        limit_s = max((until - time.monotonic()) / (len(wanted) - done), LIMIT_S_AT_LEAST)
        facts = _measured(FAMILIES[name], asked, limit_s)
        failed |= facts.pop("failed", False)
        kept["families"][name] = facts
        _keep(asked.json, kept)
    asked.page.write_text(page(kept))
    print(f"wrote {asked.page}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="families of peers")
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="what is sent")
    add("--pairs", type=int, default=3, help="rounds a ratio is the median of")
    add("--seconds", type=float, default=0.8, help="about what a run measures")
    add("--minutes", type=float, default=11, help="about, for all, by fewer rounds")
    add("--again", action="store_true", help="measure what is kept already, too")
    add("--page-only", action="store_true", help="measure nothing, write the page")
    add("--json", type=Path, default=KEPT, help="where every run is kept")
    add("--page", type=Path, default=PAGE)
    return parser


def _kept(file: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {"families": {}}
    return kept


def _has_cells(kept: dict[str, Any], name: str, kinds: Collection[str]) -> bool:
    facts = kept["families"].get(name, {})
    if "cells" not in facts or "skipped" in facts or _has_gaps(facts["cells"]):
        return False
    return {cell["kind"] for cell in facts["cells"]} >= {*kinds}


def _has_gaps(cells: list[dict[str, Any]]) -> bool:
    return any(cell["failed"] for cell in cells)


def _keep(file: Path, kept: dict[str, Any]) -> None:
    """Write in one step: an interrupted run keeps the families before."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(kept, indent=1) + "\n")
    draft.rename(file)


def _measured(family: Family, asked: argparse.Namespace, limit_s: float) -> dict[str, Any]:
    if missing := family.missing():
        print(f"{family.name}: skipped, without {' and '.join(missing)}", file=sys.stderr)
        return {"skipped": f"not installed here: {', '.join(missing)}"}
    start = time.monotonic()
    lines, fault = _run(_command(family, asked, limit_s), family, limit_s + GIVEN_UP_AFTER_S)
    print(f"{family.name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    told: dict[str, Any] = {"cells": [], "versions": {}}
    for line in lines:
        told["versions"] |= line.get("versions", {})
        told["cells"] += line.get("cells", [])
    if fault is not None:
        print(f"{family.name}: {fault}", file=sys.stderr)
        told["skipped"] = fault
    return {
        "failed": fault is not None or _has_gaps(told["cells"]),
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": machine(),
        "runner": f"pipeline_runner {pipeline_runner.__version__}",
        "pairs": asked.pairs,
        **told,
    }


def _command(family: Family, asked: argparse.Namespace, limit_s: float) -> list[str]:
    measure = [
        *(sys.executable, "-m", "benchmarks.family", family.name, "--pairs", str(asked.pairs)),
        *("--seconds", str(asked.seconds), "--limit", f"{limit_s:.0f}", "--kinds", *asked.kinds),
    ]
    if not family.confined:
        return measure
    unshare = [found("unshare") or "unshare", "--map-root-user", "--net"]
    return [*unshare, "sh", "-c", _LOOPBACK_ONLY, "sh", *measure]


def _run(
    command: list[str], family: Family, limit_s: float
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the lines that the command printed and, if it did not come to its end, why."""
    environment = {**os.environ, **family.environment}
    fault = None
    # A file, not a pipe: what a family had said before it was given up on is there.
    with TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            fault = f"given up on after {limit_s:.0f} s"
        finally:
            _end(process)
        if process.returncode and fault is None:
            fault = f"ended with {process.returncode}"
        said.seek(0)
        return [json.loads(line) for line in said], fault


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have a family end its servers; it does so when terminated."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
