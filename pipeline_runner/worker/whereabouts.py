"""Where user code stands: in a release, which is read-only and has what travels and no more."""

from __future__ import annotations

import errno
import os
from typing import cast

_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_release = ""


def stand_in(release: str) -> None:
    """Remember the folder of the release this process runs in."""
    global _release
    _release = f"{release}/"


def cure(fault: BaseException) -> str:
    """Return what would cure an error that comes of running in a release; else nothing."""
    if not _release or not issubclass(type(fault), OSError):  # its own __class__ may lie
        return ""
    error = cast("OSError", fault)
    name = error.filename2 or error.filename
    if not isinstance(name, (str, bytes, os.PathLike)) or not _is_inside(os.fsdecode(name)):
        return ""
    if error.errno in _REFUSED:
        return "the project's files are read-only here: write to context().output"
    if error.errno == errno.ENOENT:
        return "only the project's files are here: `runner files` tells which travel"
    return ""


def plainly(text: str) -> str:
    """Return a traceback with the paths of the project's files as the project has them."""
    return text.replace(f'File "{_release}', 'File "') if _release else text


def _is_inside(path: str) -> bool:
    try:
        whole = os.path.abspath(path)  # noqa: PTH100  (links stay: a name is what was asked for)
    except OSError:  # the working directory is gone
        return False
    return whole.startswith(_release)
