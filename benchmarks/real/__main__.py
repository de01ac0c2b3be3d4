"""Measure whole jobs, from start to end: ``python -m benchmarks.real [--write]``."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import TrialError
from benchmarks.page import page
from benchmarks.real.table import rows, text
from benchmarks.real.trials import JOBS, PEERS, Whole, run_ours, run_peer
from benchmarks.report import KEPT, PAGE, _keep, _kept
from benchmarks.speed import machine

if TYPE_CHECKING:
    from benchmarks.real.trials import Job


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a bar is missed or a peer that is installed gave no number."""
    asked = _parser().parse_args(arguments)
    kept = _kept(KEPT)
    told: dict[str, Any] = kept.setdefault("real", {"jobs": {}})
    good = True
    for name in asked.only:
        job = replace(JOBS[name], size=asked.size or JOBS[name].size)
        cells = measure(job, asked.peers, asked.rounds, asked.durability)
        found = rows(cells, dict(job.bars))
        print(f"\n{name}: {job.says}\n\n{text(found)}", flush=True)
        good &= not any(cell["failed"] for cell in cells) and not any(
            row.is_missed for row in found
        )
        told["jobs"][name] = {
            "says": job.says,
            "size": job.size,
            "processes": job.processes,
            "bars": dict(job.bars),
            "cells": cells,
        }
    told |= {
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": machine(),
        "durability": asked.durability,
        "peers": {peer.name: peer.what for peer in PEERS.values()},
        "versions": _versions(),
    }
    if asked.write:
        _keep(KEPT, kept)
        asked.write.write_text(page(kept))
        print(f"wrote {asked.write}", file=sys.stderr)
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=JOBS, default=list(JOBS), help="jobs")
    add("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="what to write them with")
    add("--rounds", type=int, default=5, help="rounds a ratio is the median of")
    add("--size", type=int, help="items of a job, for a try")
    add("--durability", choices=("memory", "relaxed", "fsync"), default="fsync", help="ours")
    add("--write", type=Path, nargs="?", const=PAGE, metavar="PAGE", help="keep it, write the page")
    return parser


def measure(job: Job, peers: list[str], rounds: int, durability: str) -> list[dict[str, Any]]:
    """Return a cell, as plain data, for each peer: its runs, and ours of the same rounds.

    Ours and every peer take turns, backwards in every second round, after a round that is not
    counted. A plain loop's result is what every other has to come to.
    """
    wanted = run_peer(PEERS["plain"], job).result
    runners = {"ours": lambda: run_ours(job, durability)}
    failed: dict[str, str] = {}
    runs: dict[str, list[Whole]] = {"ours": []}
    for name in peers:
        if missing := PEERS[name].missing():
            print(f"{name}: skipped, without {missing}", file=sys.stderr)
            continue
        runners[name] = lambda peer=PEERS[name]: run_peer(peer, job)
        runs[name] = []
    for number in range(rounds + 1):
        order = list(runners)
        for name in order[::-1] if number % 2 else order:
            if name in failed or "ours" in failed:
                continue
            if not number and name == "plain":
                continue  # it has just run
            try:
                run = runners[name]()
                if run.result != wanted:
                    raise TrialError(f"wrong total: {run.result}, not {wanted}")
            except TrialError as fault:
                failed[name] = str(fault)[:500]
                print(f"{name}: {failed[name]}", file=sys.stderr)
                continue
            print(f"{job.name} {number}: {name} {run.seconds:.2f} s", file=sys.stderr, flush=True)
            if number:
                runs[name].append(run)
    return [
        {
            "peer": name,
            "failed": failed.get("ours") or failed.get(name),
            "ours": _facts(runs["ours"]),
            "theirs": _facts(runs[name]),
        }
        for name in runs
        if name != "ours"
    ]


def _facts(runs: list[Whole]) -> list[dict[str, float]]:
    return [{"seconds": run.seconds, "cpu_s": run.cpu_s} for run in runs]


def _versions() -> dict[str, str]:
    told = {}
    for name in ("joblib", "mpire", "distributed", "ray"):
        try:
            told[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return told


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.exit(main())
