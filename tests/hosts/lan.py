"""Machines on one network, made of kernel namespaces: a bridge is the switch, a veth each cable.

Each host has an address, a name, a loopback and a home of its own; the disk and the process table
are the machine's, so that a test can look at everything from outside. Nothing of it touches the
machine's real interfaces. Needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK = "10.77"  # of every switch: no two of them meet
_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_NAMED = re.compile(r"prun-(\d+)-(\d+)-\d+-[a-z0-9-]+")
_numbers = itertools.count()


class NoNamespaces(Exception):
    """This machine does not let us make hosts; says why."""


@dataclass(frozen=True)
class Host:
    """A machine: ``name``, ``address``, and ``home``, a folder for what is its own."""

    name: str
    address: str
    home: Path
    namespace: str
    switch: str
    port: str  # the switch's end of its cable

    def command(self, *words: str, **environment: str) -> list[str]:
        """Return the command that runs ``words`` here; its process becomes the program itself."""
        own = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            **environment,
        }
        return [
            *("ip", "netns", "exec", self.namespace),
            *("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name),
            *("env", "-u", "RUNNER_LOCAL", *(f"{key}={value}" for key, value in own.items())),
            *words,
        ]

    def run(self, *words: str, within_s: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a command here to its end."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=within_s, check=False
        )

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a socket of this host's network, for a test to use in its own process."""
        return socket_in(self.namespace, family, kind, protocol)

    def cut(self) -> None:
        """Pull the cable: nothing comes or goes, and no connection hears of it."""
        _ip("-n", self.switch, "link", "set", self.port, "down")

    def mend(self) -> None:
        """Put the cable back."""
        _ip("-n", self.switch, "link", "set", self.port, "up")

    def reset(self) -> int:
        """End every TCP connection with a reset, as a router does that forgot them all.

        Returns how many ends of connections that were here. Raises NoNamespaces where the kernel
        cannot do it.
        """
        before = self._connections()
        self.run("ss", "-K", "--tcp", "state", "established")
        if before & self._connections():
            raise NoNamespaces("the kernel ends no connection for `ss -K`: INET_DIAG_DESTROY")
        return len(before)

    def _connections(self) -> set[str]:
        listed = self.run("ss", "-H", "-n", "--tcp", "state", "established").stdout
        return {" ".join(line.split()[2:4]) for line in listed.splitlines()}

    def pids(self) -> list[int]:
        """Return every process that runs here."""
        return _pids(self.namespace)

    def signal(self, number: signal.Signals) -> list[int]:
        """Send ``number`` to every process here at one moment; return whom."""
        return _signal_all(self.namespace, number)

    def power_off(self) -> None:
        """Kill every process here, new ones too, until none is left."""
        _kill_all(self.namespace)


@dataclass
class Lan:
    """Hosts by name, and the switch between them."""

    switch: str
    folder: Path
    hosts: dict[str, Host] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def add(self, name: str) -> Host:
        """Put another machine in, on the first network."""
        number = len(self.hosts) + 1
        host = Host(
            name,
            f"{NETWORK}.0.{number}",
            self.folder / name,
            f"{self.switch.removesuffix('switch')}{name}",
            self.switch,
            f"port{number}",
        )
        (host.home / "run").mkdir(parents=True)
        (host.home / "run").chmod(0o700)
        _ip("netns", "add", host.namespace)
        self.hosts[name] = host
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        self._plug(host, "eth0", host.address, host.port, "bridge")
        return host

    def add_network(self, *names: str) -> list[str]:
        """Put a second network beside the first, with these hosts on it too; return addresses."""
        _ip("-n", self.switch, "link", "add", "bridge1", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "bridge1", "up")
        addresses = []
        for name in names:
            host = self.hosts[name]
            addresses.append(host.address.replace(f"{NETWORK}.0.", f"{NETWORK}.1."))
            self._plug(host, "eth1", addresses[-1], f"{host.port}b", "bridge1")
        return addresses

    def move(self, name: str) -> str:
        """Give a host another address, as a router does after a restart; return that."""
        host = self.hosts[name]
        address = host.address.replace(f"{NETWORK}.0.", f"{NETWORK}.0.10")
        for verb, each in (("del", host.address), ("add", address)):
            at = (f"{each}/24", "brd", "+", "dev", "eth0")
            _ip("-n", host.namespace, "addr", verb, *at)
        return address

    def _plug(self, host: Host, link: str, address: str, port: str, bridge: str) -> None:
        cable = ("type", "veth", "peer", "name", port, "netns", self.switch)
        _ip("-n", host.namespace, "link", "add", link, *cable)
        _ip("-n", self.switch, "link", "set", port, "master", bridge, "up")
        _ip("-n", host.namespace, "addr", "add", f"{address}/24", "brd", "+", "dev", link)
        _ip("-n", host.namespace, "link", "set", link, "up")

    def listener(self, only: Host | None = None) -> socket.socket:
        """Return a packet socket on the switch: it hears every frame between the hosts.

        With ``only``, just what goes over the cable of that host.
        """
        every = 0x0003  # ETH_P_ALL
        heard = socket_in(self.switch, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every))
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        heard.bind((only.port if only else "bridge", every))
        return heard

    def remove(self) -> None:
        """End every process of every host, and take all of it away."""
        for name in [*(host.namespace for host in self.hosts.values()), self.switch]:
            _remove(name)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def lan(*names: str) -> Iterator[Lan]:
    """Give machines of these names (``[a-z0-9-]``) on one network.

    Raises NoNamespaces where the kernel or the lack of a tool forbids it.
    """
    _find_out()
    remove_leftovers()
    switch = f"prun-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}-switch"
    made = Lan(switch, _folder(switch))
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "promisc", "on", "up")
        for name in names:
            made.add(name)
        yield made
    finally:
        made.remove()


def remove_leftovers() -> None:
    """Remove the hosts of processes that were killed before they could."""
    for path in _NAMESPACES.glob("prun-*"):
        named = _NAMED.fullmatch(path.name)
        if named is not None and _started(int(named[1])) != named[2]:
            _remove(path.name)
            shutil.rmtree(_folder(path.name), ignore_errors=True)


def socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a new socket of a network namespace; the caller stays where it is."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with (_NAMESPACES / namespace).open() as there:
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


def _folder(switch: str) -> Path:
    return Path(tempfile.gettempdir(), switch.removesuffix("-switch"))


def _find_out() -> None:
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


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _remove(namespace: str) -> None:
    _kill_all(namespace)
    # Its cables go with it.
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def _kill_all(namespace: str) -> None:
    """Kill until nobody is left: who was killed may just have started somebody."""
    pause = threading.Event()
    for _try in range(200):
        if not _signal_all(namespace, signal.SIGKILL):
            return
        pause.wait(0.01)


def _signal_all(namespace: str, number: signal.Signals) -> list[int]:
    struck = []
    for pid in _pids(namespace):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            struck.append(pid)
    return struck


def _pids(namespace: str) -> list[int]:
    """Return the living processes of a namespace; those that wait to be reaped are not."""
    path = _NAMESPACES / namespace
    if not path.exists():
        return []
    inode = path.stat().st_ino
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "ns/net").stat().st_ino == inode:
                found.append(int(process.name))
    return found


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
