"""A key on disk: one line of text that its owner alone can read."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from pipeline_runner.errors import UsageError

SHORTEST_KEY = 16  # bytes, wherever others than this machine can reach the head
SUFFIX = ".key"
_LONGEST = 512  # bytes
_LONGER = "python3 -c 'import secrets; print(secrets.token_hex(32))' makes one of 32 bytes"
_AGAIN = f"{_LONGER}; `runner token`, where the pipeline runs, gives a machine its key"


def read(path: Path, *, loopback: bool) -> bytes:
    """Return the key in ``path``. Raises FileNotFoundError, and UsageError for what is no key."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(f"cannot read the key in {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"others can read the key in {path}", hint=f"chmod 600 {path}")
    try:
        return checked(text.decode().strip(), str(path), loopback=loopback)
    except UnicodeDecodeError:
        # Not `from` it: that error carries the bytes.
        raise UsageError(f"the key in {path} is not text", hint=_AGAIN) from None


def checked(text: str, place: str, *, loopback: bool) -> bytes:
    """Return the key that ``text`` is; ``place`` is where it stands.

    Raises UsageError for none, or one of under 16 bytes unless only this machine can reach the
    head; no error repeats it.
    """
    key = text.encode()
    if not key or len(key) > _LONGEST or "\n" in text:
        raise UsageError(f"{place} holds no key of one line", hint=_AGAIN)
    if len(key) < SHORTEST_KEY and not loopback:
        raise UsageError(
            f"the key in {place} is too short for a network: {len(key)} bytes of {SHORTEST_KEY}",
            hint=f"{_LONGER} (or keep to this machine: --local)",
        )
    return key


def _link(part: Path, path: Path) -> None:
    """Give ``part`` the name ``path`` too. Raises FileExistsError if that is taken."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: two first starts at once may disagree there
        if path.exists():
            raise FileExistsError(path) from None
        part.replace(path)


def write(path: Path, key: bytes, *, replace: bool) -> None:
    """Write a key file, 0600, in one step: nobody sees half of one.

    Raises FileExistsError unless it may ``replace`` another, UsageError where it cannot be written.
    """
    part = ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # 0600 from its birth
        file, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=SUFFIX)
        with os.fdopen(file, "wb") as out:
            out.write(key + b"\n")
            out.flush()
            os.fsync(out.fileno())
        if replace:
            Path(part).replace(path)
        else:
            _link(Path(part), path)
    except FileExistsError:
        raise
    except OSError as error:
        raise UsageError(
            f"cannot keep the key in {path.parent}: {error.strerror}",
            hint="RUNNER_KEY in the environment works without a file",
        ) from error
    finally:
        if part:
            Path(part).unlink(missing_ok=True)
