"""``python -m pipeline_runner``: the command ``runner``, of this very interpreter."""

from __future__ import annotations

import os
import sys

# With -m the working directory comes before everything: a project's own queue.py would stand in
# for the standard library's.
if sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  (pathlib is what could be shadowed)
    del sys.path[0]

from pipeline_runner.cli import main

if __name__ == "__main__":
    sys.exit(main())
