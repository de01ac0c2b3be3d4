"""Who belongs to a pipeline: whoever has its key. Where keys are kept, and what is made of one.

A key is a line of text, and its bytes are the key: 64 hexadecimal digits where we made it, in a
file that only its owner can read, or whatever stands in ``RUNNER_KEY``. Beacons and the TCP door
each have a key of their own that is derived from it.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_runner.cluster.certificate import Certificate, certificate
from pipeline_runner.cluster.keyfile import SHORTEST_KEY, SUFFIX, checked, read, write
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SHORTEST_KEY",
    "Certificate",
    "Identity",
    "certificate",
    "derive",
    "key_file",
    "known",
    "load_or_make",
    "make",
    "renew",
    "save",
]

LONGEST_NAME = 200  # bytes; it is a file's name here, and a part of one packet
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SALT = b"pipeline_runner"


@dataclass(frozen=True, slots=True)
class Identity:
    """A pipeline's ``name`` and ``key``. The name is empty where the key is for any name."""

    name: str
    key: bytes = field(repr=False)

    @property
    def tag(self) -> bytes:
        """What tells the packets of this key from others': 8 bytes, no secret."""
        return derive(self.key, b"tag", 8)

    @property
    def beacon_key(self) -> bytes:
        """What signs packets of discovery: 32 bytes."""
        return derive(self.key, b"beacon")

    @property
    def door_key(self) -> bytes:
        """What both ends of a connection prove to know: 32 bytes."""
        return derive(self.key, b"door")


def derive(key: bytes, purpose: bytes, size: int = 32) -> bytes:
    """Return ``size`` bytes, 1..255 * 32, that tell nothing of ``key`` or of other purposes.

    Source: RFC 5869, HKDF with SHA-256; ``purpose`` is its ``info``.
    """
    return _expand(hmac.digest(_SALT, key, "sha256"), purpose, size)


def _expand(pseudo_random: bytes, info: bytes, size: int) -> bytes:
    made, block = b"", b""
    while len(made) < size:
        block = hmac.digest(pseudo_random, block + info + bytes([len(made) // 32 + 1]), "sha256")
        made += block
    return made[:size]


def load_or_make(
    name: str, *, loopback: bool = False, environ: Mapping[str, str] = os.environ
) -> Identity:
    """Return the identity of the pipeline ``name``: its key is made and kept if there is none.

    ``RUNNER_KEY`` goes before the file. Raises UsageError for a key that cannot be used: others
    can read its file, or it has under 16 bytes and ``loopback`` does not say that only this
    machine can reach the head.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"`{name}` cannot be a pipeline's name on the network",
            hint=f"lower-case letters, digits and hyphens, at most {LONGEST_NAME}",
        )
    given = environ.get("RUNNER_KEY", "").strip()
    if given:
        return Identity(name, checked(given, "RUNNER_KEY", loopback=loopback))
    path = key_file(name, environ)
    with contextlib.suppress(FileNotFoundError):
        return Identity(name, read(path, loopback=loopback))
    made = make(name)
    try:
        write(path, made.key, replace=False)
    except FileExistsError:  # another head was quicker
        return Identity(name, read(path, loopback=loopback))
    return made


def known(environ: Mapping[str, str] = os.environ) -> list[Identity]:
    """Return every identity this user has here; with ``RUNNER_KEY`` that one alone, for any name.

    Raises UsageError for a key that cannot be used, as :func:`load_or_make` does.
    """
    given = environ.get("RUNNER_KEY", "").strip()
    if given:
        return [Identity("", checked(given, "RUNNER_KEY", loopback=False))]
    files = sorted(_folder(environ).glob(f"*{SUFFIX}"))
    return [
        Identity(path.stem, read(path, loopback=False))
        for path in files
        if _NAME.fullmatch(path.stem)
    ]


def save(
    identity: Identity, environ: Mapping[str, str] = os.environ, *, aside: bool = True
) -> Path | None:
    """Keep ``identity`` for later. Return where another key of that name went, None without one.

    That other key is put ``aside``, unless it is known to be a former one. Raises UsageError where
    it cannot be written.
    """
    path = key_file(identity.name, environ)
    kept: Path | None = None
    with contextlib.suppress(OSError):
        if aside and path.read_bytes().strip() != identity.key:
            kept = path.with_suffix(f".before{SUFFIX}")  # no pipeline's name has a dot
            path.replace(kept)
    write(path, identity.key, replace=True)
    return kept


def make(name: str) -> Identity:
    """Return an identity with a key of 256 fresh bits, which is kept nowhere yet."""
    return Identity(name, secrets.token_hex(32).encode())


def renew(name: str, environ: Mapping[str, str] = os.environ) -> Identity:
    """Make a new key for the pipeline ``name`` and keep it in place of the former, which is gone.

    Raises UsageError where the key comes from ``RUNNER_KEY`` or cannot be written.
    """
    if environ.get("RUNNER_KEY", "").strip():
        raise UsageError(
            "the key comes from RUNNER_KEY, which only you can change",
            hint="set another one where `runner up` starts, and on every host",
        )
    made = make(name)
    write(key_file(name, environ), made.key, replace=True)
    return made


def key_file(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the key of the pipeline ``name`` is kept."""
    return _folder(environ) / f"{name}{SUFFIX}"


def _folder(environ: Mapping[str, str]) -> Path:
    config = environ.get("XDG_CONFIG_HOME")
    try:
        return (Path(config) if config else Path.home() / ".config") / "runner"
    except RuntimeError as error:  # a user that the system does not know, as in some containers
        raise UsageError(
            "there is no home folder to keep a pipeline's key in",
            hint="XDG_CONFIG_HOME names a folder, or RUNNER_KEY is the key",
        ) from error
