"""How long `runner check` takes for files of unusual size: ``python -m benchmarks.check``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEAD = '[pipeline]\nname = "large"\n'
STAGE = '[stages.a]\nrun = "functions:f"\n'
CHECK = "import pipeline_runner.cli as cli, sys; sys.exit(cli.main(['check']))"
MOST_S = 2.0


def chain(count: int) -> str:
    stages = "".join(f'[stages.s{at}]\nrun = "functions:f"\n' for at in range(count))
    edges = (f'[[edges]]\nfrom = "s{at}"\nto = "s{at + 1}"\n' for at in range(count - 1))
    return HEAD + stages + "".join(edges)


FILES = {
    "1,600 stages": chain(1600),
    "a string of 10 MB": f'{HEAD}{STAGE}[server]\nbind = "{"x" * 10_000_000}"\n',
    "60,000 unknown keys": HEAD + STAGE + "".join(f"k{at} = 1\n" for at in range(60_000)),
}


def check(text: str) -> float:
    """Return the seconds that checking ``text`` takes, the start of the command among them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pipeline.toml").write_text(text, encoding="utf-8")
        Path(folder, "functions.py").write_text("def f(*items): ...\n", encoding="utf-8")
        command = [sys.executable, "-c", CHECK]
        begun = time.perf_counter()
        subprocess.run(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        return time.perf_counter() - begun


def main() -> int:
    slow = 0
    for name, text in FILES.items():
        taken = min(check(text) for _ in range(3))
        slow += taken > MOST_S
        print(f"{name:>20}  {taken:6.2f} s{'' if taken <= MOST_S else '  too slow'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
