"""``runner`` as the first process of a container: somebody has to reap what others orphan there."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import NoReturn


def leave_to_child() -> None:
    """Return in a child, which does the work; this process hands it signals and reaps.

    It ends as the child does. Signals of a terminal reach the child by themselves.
    """
    every = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every)
    child = os.fork()
    if child:
        _tend(child, every)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _tend(child: int, every: set[signal.Signals]) -> NoReturn:
    while True:
        about = signal.sigwaitinfo(every)
        if about.si_signo != signal.SIGCHLD:
            if about.si_code <= 0:  # a process sent it, and to this one alone
                with suppress(ProcessLookupError):
                    os.kill(child, about.si_signo)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
            if not pid:
                break
