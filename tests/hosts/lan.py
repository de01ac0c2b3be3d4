"""Machines on one network, made of kernel namespaces: a bridge is the switch, a veth each cable.

Each host has an address, a name, a loopback and a home of its own; the disk and the process table
are the machine's, so that a test can look at everything from outside. Nothing of it touches the
machine's real interfaces. Needs root and iproute2.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.hosts.namespaces import (
    NAMESPACES,
    NoNamespaces,
    find_out,
    ip,
    kill_all,
    pids_in,
    remove,
    signal_all,
    socket_in,
    started,
)

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

NETWORK = "10.77"  # of every switch: no two of them meet
_NAMED = re.compile(r"prun-(\d+)-(\d+)-\d+-[a-z0-9-]+")
_numbers = itertools.count()


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
        ip("-n", self.switch, "link", "set", self.port, "down")

    def mend(self) -> None:
        """Put the cable back."""
        ip("-n", self.switch, "link", "set", self.port, "up")

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
        return pids_in(self.namespace)

    def signal(self, number: signal.Signals) -> list[int]:
        """Send ``number`` to every process here at one moment; return whom."""
        return signal_all(self.namespace, number)

    def power_off(self) -> None:
        """Kill every process here, new ones too, until none is left."""
        kill_all(self.namespace)


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
        ip("netns", "add", host.namespace)
        self.hosts[name] = host
        ip("-n", host.namespace, "link", "set", "lo", "up")
        self._plug(host, "eth0", host.address, host.port, "bridge")
        return host

    def add_network(self, *names: str) -> list[str]:
        """Put a second network beside the first, with these hosts on it too; return addresses."""
        ip("-n", self.switch, "link", "add", "bridge1", "type", "bridge")
        ip("-n", self.switch, "link", "set", "bridge1", "up")
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
            ip("-n", host.namespace, "addr", verb, *at)
        return address

    def _plug(self, host: Host, link: str, address: str, port: str, bridge: str) -> None:
        cable = ("type", "veth", "peer", "name", port, "netns", self.switch)
        ip("-n", host.namespace, "link", "add", link, *cable)
        ip("-n", self.switch, "link", "set", port, "master", bridge, "up")
        ip("-n", host.namespace, "addr", "add", f"{address}/24", "brd", "+", "dev", link)
        ip("-n", host.namespace, "link", "set", link, "up")

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
            remove(name)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def lan(*names: str) -> Iterator[Lan]:
    """Give machines of these names (``[a-z0-9-]``) on one network.

    Raises NoNamespaces where the kernel or the lack of a tool forbids it.
    """
    find_out()
    remove_leftovers()
    switch = f"prun-{os.getpid()}-{started(os.getpid())}-{next(_numbers)}-switch"
    made = Lan(switch, _folder(switch))
    try:
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "promisc", "on", "up")
        for name in names:
            made.add(name)
        yield made
    finally:
        made.remove()


def remove_leftovers() -> None:
    """Remove the hosts of processes that were killed before they could."""
    for path in NAMESPACES.glob("prun-*"):
        named = _NAMED.fullmatch(path.name)
        if named is not None and started(int(named[1])) != named[2]:
            remove(path.name)
            shutil.rmtree(_folder(path.name), ignore_errors=True)


def _folder(switch: str) -> Path:
    return Path(tempfile.gettempdir(), switch.removesuffix("-switch"))
