"""What `runner doctor` found: facts in, findings out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline_runner.cluster.interfaces import LOCAL
from pipeline_runner.cluster.silence import gap

if TYPE_CHECKING:
    from pipeline_runner.cluster.discovery import Found
    from pipeline_runner.cluster.interfaces import Links

State = Literal["ok", "warn", "error"]

_ROOM = 1024**3  # bytes; a journal and a few releases fit
_LITTLE_ROOM = 64 * 1024**2
_WATCHES, _INSTANCES = 8192, 64
_FILES = 1024
_LAST_YEAR = 2024  # a clock before it was never set
_IN_MEMORY = ("tmpfs", "ramfs")
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its name, how it is, and what would cure it."""

    name: str
    state: State
    text: str
    cure: str = ""


def versions(version: str, protocol: tuple[int, int], python: str) -> Finding:
    """Judge what runs here: any of it will do."""
    low, high = protocol
    spoken = f"{low}" if low == high else f"{low} to {high}"
    return Finding("version", "ok", f"runner {version}, protocol {spoken}, Python {python}")


def networks(links: Links) -> list[Finding]:
    """Judge the interfaces: at least one should lead to other machines."""
    beyond = [each for each in links.usable if not each.is_loopback]
    found = [
        Finding("network", "ok", f"{each.name} {each.address}, broadcasts go to {each.broadcast}")
        for each in beyond
    ]
    skipped = ", ".join(f"{each.name} ({each.why})" for each in links.skipped)
    if not beyond:
        cure = "connect it to a network; `runner up --local` works without one"
        if any(each.why == LOCAL for each in links.skipped):
            cure = "take RUNNER_LOCAL out of the environment, if other machines should join"
        found.append(
            Finding("network", "warn", f"none leads to other machines; skipped: {skipped}", cure)
            if skipped
            else Finding("network", "warn", "none leads to other machines", cure)
        )
    elif skipped:
        found.append(Finding("network", "ok", f"skipped: {skipped}"))
    return found


def udp(port: int, error: str) -> Finding:
    """Judge whether discovery can listen; ``error`` is empty if it can."""
    if not error:
        return Finding("discovery", "ok", f"UDP port {port} can be listened on")
    return Finding(
        "discovery",
        "warn",
        f"UDP port {port}: {error}",
        f"end what has it (ss -lunp 'sport = :{port}'), or join with the head's address",
    )


def tcp(port: int, error: str, head: int | None) -> Finding:
    """Judge whether a head can listen; ``head`` is the pid of this pipeline's, if it runs."""
    if head is not None:
        return Finding("port", "ok", f"the head runs, pid {head}")
    if not error:
        return Finding("port", "ok", f"TCP port {port} is free")
    return Finding(
        "port",
        "warn",
        f"TCP port {port}: {error}",
        "the next free one is taken unless `port` in [server] wants this one",
    )


def heads(found: list[Found], known: int, speaks: tuple[int, int], version: str) -> Finding:
    """Judge what answers, being of ``version``; ``known`` is the number of keys that were tried."""
    if not known:
        return Finding("heads", "ok", "no key to look for heads with yet: `runner up` makes one")
    if not found:
        from pipeline_runner.observe.quantity import plural

        return Finding("heads", "ok", f"none answers; this machine has {plural(known, 'key')}")
    places = [f"{each.name} at {each.host}:{each.port} ({each.machine})" for each in found]
    for each in found:
        refused = gap(each.name, each.protocol, each.version, speaks, version)
        if refused is not None:
            return Finding("heads", "warn", refused.message, refused.hint)
    return Finding("heads", "ok", ", ".join(places))


def firewall(name: str, port: int) -> Finding:
    """Judge a firewall that is switched on, by its name; what it lets through is its secret."""
    if not name:
        return Finding("firewall", "ok", "neither ufw nor firewalld is on")
    allow = {
        "ufw": f"ufw allow {port}/udp && ufw allow {port}/tcp",
        "firewalld": f"firewall-cmd --add-port={port}/udp --add-port={port}/tcp --permanent",
    }[name]
    return Finding(
        "firewall", "warn", f"{name} is on, and may keep other machines out", f"if it does: {allow}"
    )


def subsystem(is_wsl: bool) -> list[Finding]:
    """Judge the machine under Linux: WSL2's network is an inner one."""
    if not is_wsl:
        return []
    return [
        Finding(
            "network",
            "warn",
            "this is WSL2: broadcasts stay inside of it",
            "networkingMode=mirrored in .wslconfig, or join with the head's address",
        )
    ]


def clock(year: int, now: str, is_synchronised: bool | None) -> Finding:
    """Judge the wall clock. Nothing expires by it; people compare logs by it."""
    if year < _LAST_YEAR:
        return Finding("clock", "warn", f"it is not {now}", "timedatectl set-ntp true")
    if is_synchronised is False:
        return Finding(
            "clock",
            "warn",
            f"{now}, not synchronised: logs of several hosts will not line up",
            "timedatectl set-ntp true",
        )
    return Finding("clock", "ok", f"{now}, synchronised" if is_synchronised else now)


def disk(place: str, free: int, kind: str, error: str) -> Finding:
    """Judge where the state is kept: ``free`` bytes on a file system of this ``kind``."""
    from pipeline_runner.observe.quantity import size

    elsewhere = "`state` in [server] names another folder"
    if error:
        return Finding("disk", "error", f"{place}: {error}", elsewhere)
    text = f"{size(free)} free in {place}" + (f", {kind}" if kind else "")
    if free < _LITTLE_ROOM:
        return Finding("disk", "error", text, f"free some space, or {elsewhere}")
    if kind in _IN_MEMORY:
        return Finding("disk", "warn", f"{text}: queues do not survive a restart", elsewhere)
    if kind in _REMOTE:
        return Finding("disk", "warn", f"{text}: locks and fsync may not hold there", elsewhere)
    if free < _ROOM:
        return Finding("disk", "warn", text, f"free some space, or {elsewhere}")
    return Finding("disk", "ok", text)


def watches(most: int | None, instances: int | None) -> Finding:
    """Judge how many files can be watched for changes; None where there is no such limit."""
    if most is None or instances is None:
        return Finding("inotify", "ok", "no limit on this system")
    text = f"at most {most:,} files, by {instances:,} programs"
    if most >= _WATCHES and instances >= _INSTANCES:
        return Finding("inotify", "ok", text)
    return Finding(
        "inotify",
        "warn",
        f"{text}: changes in a large project are seen 2 s late",
        f"sysctl fs.inotify.max_user_watches={max(most, 65536)} "
        f"fs.inotify.max_user_instances={max(instances, 128)}",
    )


def descriptors(soft: int, hard: int) -> Finding:
    """Judge how many files a head can have open: each worker on another host is one."""
    if soft >= _FILES:
        return Finding("open files", "ok", f"{soft:,}")
    return Finding(
        "open files",
        "warn",
        f"{soft:,}: a head of many workers runs out",
        f"ulimit -n {min(hard, 65536)}",
    )
