"""Looks at this machine for `runner doctor`; what to think of it is :mod:`.findings`'."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import shutil
import socket
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner import __version__
from pipeline_runner.cli import findings, project
from pipeline_runner.cli.findings import Finding
from pipeline_runner.cluster.discovery import find
from pipeline_runner.cluster.identity import known
from pipeline_runner.cluster.interfaces import scan
from pipeline_runner.cluster.packets import PORT, SPEAKS
from pipeline_runner.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOK_S = 0.6  # for heads; a network that takes longer is told of by `runner join`
_UNSYNCHRONISED = 0x40  # STA_UNSYNC of adjtimex(2)
_TIMEX_SIZE = 208  # bytes; struct timex is as large at most
_INOTIFY = Path("/proc/sys/fs/inotify")


def examine(file: Path) -> Iterator[Finding]:
    """Look at everything, the pipeline of ``file`` among it where there is such a file."""
    state, port = _pipeline(file)
    yield findings.versions(__version__, SPEAKS, platform.python_version())
    yield from findings.networks(scan())
    yield from findings.subsystem("microsoft" in platform.release().lower())
    yield findings.udp(PORT, _cannot_listen(socket.SOCK_DGRAM, PORT))
    head = project.head_pid(state)
    yield findings.tcp(port, _cannot_listen(socket.SOCK_STREAM, port), head)
    yield findings.firewall(_firewall(), port)
    yield _key_and_heads()
    now = datetime.now(timezone.utc).astimezone()
    yield findings.clock(now.year, f"{now:%Y-%m-%d %H:%M:%S %z}", _is_synchronised())
    yield _disk(state)
    yield findings.watches(_number("max_user_watches"), _number("max_user_instances"))
    yield findings.descriptors(*resource.getrlimit(resource.RLIMIT_NOFILE))


def _pipeline(file: Path) -> tuple[Path, int]:
    """Return where its state is, and its port; a file that is wrong or not there is no fault."""
    try:
        pipeline = project.load(file)
    except RunnerError:
        return file.resolve().parent / ".runner", PORT
    return pipeline.state_dir, pipeline.server.port or PORT


def _cannot_listen(kind: socket.SocketKind, port: int) -> str:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "another program has it"
            return error.strerror or str(error)
    return ""


def _key_and_heads() -> Finding:
    try:
        identities = known()
    except RunnerError as error:
        return Finding("key", "error", error.message, error.hint)
    found = find(identities, timeout_s=_LOOK_S) if identities else []
    return findings.heads(found, len(identities), SPEAKS, __version__)


def _firewall() -> str:
    with suppress(OSError):
        if "ENABLED=yes" in Path("/etc/ufw/ufw.conf").read_text(encoding="utf-8").split():
            return "ufw"
    return "firewalld" if Path("/run/firewalld").is_dir() else ""


def _is_synchronised() -> bool | None:
    """Ask the kernel; None where it does not say."""
    timex = ctypes.create_string_buffer(_TIMEX_SIZE)
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):  # no such call on this system
        return None
    # modes, padded to a long, then four longs, then status: an int
    long = ctypes.sizeof(ctypes.c_long)
    status = ctypes.c_int.from_buffer(timex, 5 * long).value
    return None if answer < 0 else not status & _UNSYNCHRONISED


def _disk(state: Path) -> Finding:
    there = next(path for path in (state, *state.parents) if path.is_dir())
    shown = os.path.relpath(state)
    if not os.access(there, os.W_OK):
        return findings.disk(shown, 0, "", f"{there} cannot be written to")
    try:
        return findings.disk(shown, shutil.disk_usage(there).free, _kind_of(there), "")
    except OSError as error:
        return findings.disk(shown, 0, "", error.strerror or str(error))


def _kind_of(folder: Path) -> str:
    """Return the type of the file system that ``folder`` is on; empty where nothing tells."""
    best, kind = "", ""
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
            _device, where, what = line.split()[:3]
            where = where.replace("\\040", " ")
            if len(where) >= len(best) and folder.resolve().is_relative_to(where):
                best, kind = where, what
    return kind


def _number(name: str) -> int | None:
    try:
        return int((_INOTIFY / name).read_text())
    except (OSError, ValueError):
        return None
