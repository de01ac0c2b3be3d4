"""The commands ``runner`` and ``clusterer``.

Only :func:`main` lives here, and it imports nothing until it knows what for: ``--version`` has to
answer at once.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command line ``arguments`` (those of the process if None); return its exit code."""
    if arguments is None:
        arguments = sys.argv[1:]
    if None in (sys.stdin, sys.stdout, sys.stderr):  # the shell closed one
        from pipeline_runner.cli.streams import prepare

        prepare()
    if arguments == ["--version"]:
        from pipeline_runner import __version__

        sys.stdout.write(f"runner {__version__}\n")
        return 0
    if sys.platform == "win32":
        sys.stderr.write(
            "error: runner needs Linux: it relies on Unix sockets and on how Linux ends processes\n"
            "hint: it runs under WSL2: https://learn.microsoft.com/windows/wsl/install\n"
        )
        return 2
    if os.getpid() == 1:
        from pipeline_runner.cli.init_process import leave_to_child

        leave_to_child()
    try:
        from pipeline_runner.cli.app import run
    except KeyboardInterrupt:  # Ctrl-C as soon as that
        return 130

    return run(arguments)
