"""What a command or a worker imports of this room is no more than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = ["errors", "events", "config.report", "config.expressions", "config.callables"]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_do_not_import_pydantic(module: str) -> None:
    code = (
        f"import sys, pipeline_runner.{module}\n"
        "sys.exit(', '.join({'pydantic', 'tomli', 'rich', 'click'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
