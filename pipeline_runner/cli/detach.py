"""``runner up -d``: the same command again, in a session of its own, its words in a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli.project import head_pid
from pipeline_runner.errors import ExitCode, TimedOut

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.cli.options import CommonOptions
    from pipeline_runner.config.pipeline import Pipeline

_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.05
_TAIL_LINES = 20

# `-m` would put the working directory before the installed packages, and a project's own
# queue.py would stand in for the standard library's.
_ENTRY = (
    "import sys; sys.path[:] = filter(None, sys.path);"
    "from pipeline_runner.cli import main; sys.exit(main())"
)


def detach(
    pipeline: Pipeline, common: CommonOptions, *, local: bool, no_work: bool, fresh: bool
) -> int:
    """Start the head in the background, wait until it answers, and say how to look at it.

    Returns the child's exit code if it ended first. Raises TimedOut after half a minute.
    """
    log = pipeline.state_dir / "logs" / "up.log"
    pipeline.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-c", _ENTRY, "up", str(common.file)]
    # The imports were tried a moment ago, by the process that starts this one.
    command += ["--ui", "plain", "--color", "never", "--no-import"]
    command += ["--local"] * local + ["--no-work"] * no_work + ["--fresh", "--yes"] * fresh
    command += ["-q"] * common.quiet + ["-v"] * common.verbose
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    if not _wait_for_head(pipeline.state_dir, child):
        for line in log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]:
            click.echo(line, err=True)
        return child.returncode
    if common.json:
        click.echo(json.dumps({"pid": child.pid, "log": str(log)}))
    elif not common.quiet:
        click.echo(f"{pipeline.name} runs in the background, pid {child.pid}", err=True)
        click.echo(f"look at it:  runner ps{common.again}", err=True)
        click.echo(f"stop it:     runner down{common.again}", err=True)
        click.echo(f"its words:   {_short(log)}", err=True)
    return ExitCode.OK


def _wait_for_head(state_dir: Path, child: subprocess.Popen[bytes]) -> bool:
    """Wait until ``child`` has left its address; False if it ended instead."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at:
        if head_pid(state_dir) == child.pid:
            # Nobody waits for it any more: it is init's child when this process ends.
            child.returncode = 0
            return True
        if child.poll() is not None:
            return False
        time.sleep(_LOOK_EVERY_S)
    raise TimedOut(
        f"the head, pid {child.pid}, did not answer within {_PATIENCE_S:.0f} s",
        hint=f"it is still starting; its words are in {_short(state_dir / 'logs' / 'up.log')}",
    )


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
