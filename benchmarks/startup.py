"""Print what ``runner --version`` takes beyond ``python -c pass``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.ours import command
from benchmarks.pairs import Spread, spread

BAR_MS = 80.0


def beyond_python_ms(pairs: int) -> Spread:
    """Return the spread of ``pairs`` paired differences, in milliseconds, after a warm-up pair.

    Raises CalledProcessError if either command fails.
    """
    version = [*command(), "--version"]
    bare = [sys.executable, "-c", "pass"]
    _time_ms(bare)
    _time_ms(version)
    return spread([_time_ms(version) - _time_ms(bare) for _ in range(pairs)])


def _time_ms(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if the bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--pairs", type=int, default=21)
    pairs = parser.parse_args(arguments).pairs
    beyond = beyond_python_ms(pairs)
    print(
        f"runner --version takes {beyond.median:.1f} ms ({beyond.low:.1f} to {beyond.high:.1f}) "
        f"more than python -c pass: the median of {pairs} pairs; bar {BAR_MS:g} ms"
    )
    return 0 if beyond.median <= BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
