"""Network namespaces of the kernel: who runs in one, and a socket of one from outside."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000


class NoNamespaces(Exception):
    """This machine does not let us make hosts; says why."""


def socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a new socket of a network namespace; the caller stays where it is."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with (NAMESPACES / namespace).open() as there:
            if libc.setns(there.fileno(), _CLONE_NEWNET):  # of this thread alone, which ends here
                made.append(OSError(ctypes.get_errno(), f"no way into {namespace}"))
                return
        made.append(socket.socket(family, kind, protocol))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def find_out() -> None:
    """Raise NoNamespaces where the kernel, or the lack of a tool, forbids them."""
    for tool in ("ip", "unshare"):
        if shutil.which(tool) is None:
            raise NoNamespaces(f"`{tool}` is not installed: apt-get install iproute2 util-linux")
    if os.geteuid() != 0:
        raise NoNamespaces("hosts are network namespaces, which only root can make: use sudo")
    tried = subprocess.run(
        ["unshare", "--net", "--uts", "--mount", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        raise NoNamespaces(f"the kernel makes no namespaces for us: {tried.stderr.strip()}")


def ip(*words: str) -> None:
    """Run `ip`. Raises NoNamespaces with what it says if it cannot."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"ip {' '.join(words)}: {done.stderr.strip()}")


def remove(namespace: str) -> None:
    """End every process of a namespace and take it away; its cables go with it."""
    kill_all(namespace)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def kill_all(namespace: str) -> None:
    """Kill until nobody is left: who was killed may just have started somebody."""
    pause = threading.Event()
    for _try in range(200):
        if not signal_all(namespace, signal.SIGKILL):
            return
        pause.wait(0.01)


def signal_all(namespace: str, number: signal.Signals) -> list[int]:
    """Send ``number`` to every process of a namespace at one moment; return whom."""
    struck = []
    for pid in pids_in(namespace):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            struck.append(pid)
    return struck


def pids_in(namespace: str) -> list[int]:
    """Return the living processes of a namespace; those that wait to be reaped are not."""
    path = NAMESPACES / namespace
    if not path.exists():
        return []
    inode = path.stat().st_ino
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "ns/net").stat().st_ino == inode:
                found.append(int(process.name))
    return found


def started(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
