"""The network interfaces of this machine: where a broadcast can go, and where not and why."""

from __future__ import annotations

import os
import socket
import struct
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOOPBACK_BROADCAST = "127.255.255.255"
LOCAL = "RUNNER_LOCAL is set"  # why an interface is skipped that could be used

_UP, _BROADCAST, _LOOPBACK, _RUNNING = 0x1, 0x2, 0x8, 0x40  # IFF_*, the same on every Unix
_GET_ALL, _GET_FLAGS, _GET_BROADCAST, _GET_MASK = 0x8912, 0x8913, 0x8919, 0x891B  # SIOCGIF*, Linux
_NAME = 16
_REQUEST = _NAME + struct.calcsize("LLHBBB0L")  # struct ifreq: a name and its largest member


@dataclass(frozen=True, slots=True)
class Interface:
    """An IPv4 address of an interface that is up, and where to reach all of its network."""

    name: str
    address: str
    broadcast: str

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine is behind it."""
        return self.broadcast == LOOPBACK_BROADCAST


@dataclass(frozen=True, slots=True)
class Skipped:
    """An interface that no broadcast can leave by, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Links:
    """What there is to broadcast on, and what is left out; loopback comes last."""

    usable: tuple[Interface, ...]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """One IPv4 address as the system tells of it; ``broadcast`` may be empty or 0.0.0.0."""

    name: str
    address: str
    mask: str
    broadcast: str
    flags: int


def scan() -> Links:
    """Look at this machine's interfaces. With RUNNER_LOCAL=1, loopback alone can be used."""
    addresses = list(_ask_linux() if sys.platform == "linux" else _ask_psutil())
    with_address = {address.name for address in addresses}
    without = [
        name
        for _index, name in socket.if_nameindex()
        if name not in with_address and _may_lead_out(name)
    ]
    return choose(addresses, without, local=os.environ.get("RUNNER_LOCAL") == "1")


def choose(addresses: Iterable[Address], without: Iterable[str] = (), *, local: bool) -> Links:
    """Return what can be used of ``addresses``; the interfaces ``without`` one are told of."""
    usable: dict[str, Interface] = {}
    skipped: dict[str, str] = {}
    loopback = Interface("lo", "127.0.0.1", LOOPBACK_BROADCAST)
    for each in addresses:
        if each.flags & _LOOPBACK:
            if each.address == "127.0.0.1":
                loopback = Interface(each.name, each.address, LOOPBACK_BROADCAST)
            continue
        why = LOCAL if local else _why_not(each)
        if why:
            skipped.setdefault(each.name, why)
        else:
            usable[each.address] = Interface(each.name, each.address, _broadcast(each))
    names = {interface.name for interface in usable.values()}
    for name in without:
        if name != loopback.name:
            skipped.setdefault(name, "no IPv4 address")
    return Links(
        (*usable.values(), loopback),
        tuple(Skipped(name, why) for name, why in skipped.items() if name not in names),
    )


def _may_lead_out(name: str) -> bool:
    """Return whether a person would expect an address there: not of the inside of a bridge."""
    link = Path("/sys/class/net") / name
    try:
        is_up = int((link / "flags").read_text(), 16) & _UP
    except (OSError, ValueError):  # no Linux, or it is gone
        return True
    return (link / "device").exists() or (bool(is_up) and not (link / "master").exists())


def _why_not(each: Address) -> str:
    if not each.flags & _UP:
        return "down"
    if not each.flags & _RUNNING:
        return "nothing is connected to it"
    if not each.flags & _BROADCAST or each.mask in _POINT_TO_POINT:
        return "point to point, no broadcast"
    return ""


_POINT_TO_POINT = ("255.255.255.254", "255.255.255.255")


def _broadcast(each: Address) -> str:
    if each.broadcast not in ("", "0.0.0.0", "255.255.255.255"):  # noqa: S104  (compared with)
        return each.broadcast
    address, mask = socket.inet_aton(each.address), socket.inet_aton(each.mask)
    return socket.inet_ntoa(bytes(a | ~m & 0xFF for a, m in zip(address, mask, strict=True)))


def _ask_linux() -> Iterator[Address]:
    """Ask the kernel, at a fiftieth of the time that importing psutil takes."""
    from fcntl import ioctl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        room = 64 * _REQUEST
        while True:
            buffer = array("B", bytes(room))
            start, _items = buffer.buffer_info()
            filled, _start = struct.unpack(
                "iP", ioctl(sock, _GET_ALL, struct.pack("iP", room, start))
            )
            if filled < room:
                break
            room *= 2
        for at in range(0, filled, _REQUEST):
            request = bytes(buffer[at : at + _REQUEST])
            try:
                flags = ioctl(sock, _GET_FLAGS, request)
                mask = ioctl(sock, _GET_MASK, request)
                broadcast = ioctl(sock, _GET_BROADCAST, request)
            except OSError:  # it went away meanwhile
                continue
            yield Address(
                # An alias is an address of its interface: "eth0:1" is eth0's.
                name=request[:_NAME].rstrip(b"\0").decode(errors="replace").partition(":")[0],
                address=_ipv4(request),
                mask=_ipv4(mask),
                broadcast=_ipv4(broadcast),
                flags=struct.unpack_from("H", flags, _NAME)[0],
            )


def _ipv4(request: bytes) -> str:
    return socket.inet_ntoa(request[_NAME + 4 : _NAME + 8])


def _ask_psutil() -> Iterator[Address]:
    try:
        import psutil
    except ImportError:  # there is none for this machine: loopback still works
        return
    stats = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        words = getattr(stats.get(name), "flags", "").split(",")
        flags = sum(
            bit
            for word, bit in (
                ("up", _UP),
                ("broadcast", _BROADCAST),
                ("loopback", _LOOPBACK),
                ("running", _RUNNING),
            )
            if word in words
        )
        for each in addresses:
            if each.family == socket.AF_INET and each.netmask:
                yield Address(name, each.address, each.netmask, each.broadcast or "", flags)
