"""Where user code stands: in a release, which is read-only and has what travels and no more."""

from __future__ import annotations

import errno
import os
import sys
from typing import cast

_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_CAUSES = 8  # errors that led to one another

_release = ""


def stand_in(release: str) -> None:
    """Remember the folder of the release this process runs in."""
    global _release
    _release = f"{release}/"


def cure(fault: BaseException) -> str:
    """Return what would cure an error that comes of where user code runs; else nothing."""
    variable = missing_variable(fault)
    if variable:
        return (
            f"set {variable} where `runner up` starts, and name it in the stage: "
            f'env = {{ {variable} = "${{{variable}}}" }}'
        )
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


def missing_variable(fault: BaseException) -> str:
    """Return which variable of the environment was asked for in vain; empty if it was not that.

    What a `.env` file sets at home is not here: it is a secret, and no file of the project.
    """
    if type(fault) is not KeyError or len(fault.args) != 1 or type(fault.args[0]) is not str:
        return ""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    asked = os.environ.__getitem__.__func__.__code__  # type: ignore[attr-defined]
    name = fault.args[0]
    return name if trace is not None and trace.tb_frame.f_code is asked and _is_name(name) else ""


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def missing_module(error: BaseException) -> str:
    """Return the module that is not installed here, if that is what ``error`` comes of.

    Not one of the project, nor one that belongs to Python itself: neither is installed.
    """
    cause: BaseException | None = error
    for _step in range(_CAUSES):
        if cause is None:
            break
        if issubclass(type(cause), ModuleNotFoundError):
            name = cast("ModuleNotFoundError", cause).name
            return name if type(name) is str and not _is_own(name.partition(".")[0]) else ""
        cause = cause.__cause__
    return ""


def _is_own(package: str) -> bool:
    """Whether a package is the project's, or Python's."""
    here = [f"{entry}/{package}" for entry in sys.path if f"{entry}/".startswith(_release)]
    found = any(map(os.path.exists, [*here, *(f"{path}.py" for path in here)]))
    return found or package in sys.stdlib_module_names


def plainly(text: str) -> str:
    """Return a traceback with the paths of the project's files as the project has them."""
    return text.replace(f'File "{_release}', 'File "') if _release else text


def _is_inside(path: str) -> bool:
    try:
        whole = os.path.abspath(path)  # noqa: PTH100  (links stay: a name is what was asked for)
    except OSError:  # the working directory is gone
        return False
    return whole.startswith(_release)
