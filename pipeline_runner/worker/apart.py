"""How a process of ours is started so that a terminal's signals are no affair of its."""

from __future__ import annotations

import os
import sys
from typing import Any


def apart() -> dict[str, Any]:
    """Return what ``subprocess.Popen`` is told: Ctrl-C at a terminal is the head's to interpret.

    Where there is no terminal, as in a service or below an agent that was started so, a process
    group is enough. Linux shares a busy processor out among sessions first: items that go from
    one session to the next wait for that each time.
    """
    if sys.version_info >= (3, 11) and not _has_terminal():
        return {"process_group": 0}
    return {"start_new_session": True}


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
