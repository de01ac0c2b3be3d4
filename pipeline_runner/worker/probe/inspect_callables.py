"""The other side of :mod:`.probe`: imports user code in this interpreter and writes what it is.

Started as ``python -m pipeline_runner.worker.probe.inspect_callables REQUEST REPORT``. Everything
it needs of the standard library is imported before the project comes to the front of ``sys.path``.
"""

from __future__ import annotations

import ctypes
import difflib
import errno
import functools
import importlib
import importlib.util
import inspect
import json
import os
import pkgutil
import re
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_runner.config.callables import (
    Definition,
    ImportFault,
    Missing,
    ProbeResult,
    Signature,
)
from pipeline_runner.worker.call import kind_of
from pipeline_runner.worker.exceptions import last_line
from pipeline_runner.worker.nested_runs import importing
from pipeline_runner.worker.probe.source_text import gives, reads_stdin
from pipeline_runner.worker.release_errors import cure, missing_variable, stand_in

if TYPE_CHECKING:
    from types import ModuleType

    from pipeline_runner.config.callables import CallableKind
    from pipeline_runner.worker.call import CallKind

_POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
_KINDS: dict[CallKind, CallableKind] = {
    "plain": "function",
    "generator": "generator",
    "async": "coroutine",
    "asyncgen": "asyncgen",
}
_ASYNC = {"coroutine", "asyncgen"}
_CLOSE = 3
_CAUSES = 8  # errors that led to one another
_NOT_IN = re.compile(r"cannot import name '(\w+)' from '")
_PR_SET_PDEATHSIG = 1


def main(request: Path, report: Path) -> None:
    """Examine every stage of ``request``, and write each to ``report`` as soon as it is known."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    _die_with(asked["parent"])
    root = Path(asked["root"])
    own = request.parent
    os.chdir(root)
    if asked["copy"]:
        stand_in(str(root))
    # Python 3.10 knows no PYTHONSAFEPATH and put the folder it started in first.
    sys.path[:] = [str(root), *(entry for entry in sys.path if entry and Path(entry) != own)]
    sys.argv = [""]
    sys.dont_write_bytecode = True  # a check leaves nothing behind
    with report.open("a", encoding="utf-8") as out, importing():
        for stage, run in asked["runs"].items():
            _write(out.fileno(), stage, None)
            _write(out.fileno(), stage, examine(run, root))


def _die_with(parent: int) -> None:
    """See to it that a module that hangs does not outlive a ``check`` that was killed."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
        os._exit(1)


def _write(fd: int, stage: str, result: ProbeResult | None) -> None:
    record = {"stage": stage, "result": None if result is None else result.as_json()}
    os.write(fd, json.dumps(record).encode() + b"\n")


def examine(run: str, root: Path) -> ProbeResult:
    """Return what is at ``run``, ``module:attribute``, once its module is imported."""
    name, _, attribute = run.partition(":")
    try:
        found: Any = importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001  (sys.exit in a module is a fault of its own)
        return ProbeResult(fault=_import_fault(name, error, root))
    owner = name
    for step in attribute.split("."):
        try:
            inner = getattr(found, step)
        except BaseException:  # noqa: BLE001  (a module's own __getattr__ may raise anything)
            return ProbeResult(missing=Missing(owner, step, _near(found, step, root)))
        owner, found = f"{owner}.{step}", inner
    return describe(found, root)


def describe(found: Any, root: Path) -> ProbeResult:
    """Return how ``found`` can be called, where it is defined and what it is marked as."""
    mark, name = _attribute(found, "__pipeline_kind__"), _attribute(found, "__name__")
    result = ProbeResult(
        definition=_definition(name if isinstance(name, str) else "", found, root),
        type_name=type(found).__name__,
        decorator=mark if isinstance(mark, str) else None,
    )
    if not callable(found):
        return result
    signature, constructor, body = None, None, found
    if inspect.isclass(found):
        constructor = _signature(found, found)
        # Asking the class itself would find how classes are called, not their instances.
        owners = (owner for owner in found.__mro__ if "__call__" in vars(owner))
        call = next((vars(owner)["__call__"] for owner in owners), None)
        body = call
        if call is not None:
            signature = _signature(call, call, bound=not isinstance(call, staticmethod))
    elif inspect.isroutine(found) or isinstance(found, functools.partial):
        signature = _signature(found, found)
    else:
        body = type(found).__call__
        signature = _signature(found, body)
    while isinstance(body, functools.partial):
        body = body.func
    plain = signature is not None and signature.kind in ("function", "coroutine")
    return ProbeResult(
        signature=signature,
        constructor=constructor,
        definition=result.definition,
        type_name=result.type_name,
        decorator=result.decorator,
        patched_by=_patched_by() if signature and signature.kind in _ASYNC else "",
        gives=gives(body) if plain else "",
        reads_stdin=reads_stdin(body),
    )


def _patched_by() -> str:
    """Return the package that has replaced what asyncio waits with, and does not work with it.

    gevent's way does.
    """
    patcher: Any = sys.modules.get("eventlet.patcher")
    return "eventlet" if patcher is not None and patcher.is_monkey_patched("select") else ""


def _attribute(found: Any, name: str) -> Any:
    try:
        return getattr(found, name, None)
    except Exception:  # noqa: BLE001  (a proxy's own __getattr__ may raise anything)
        return None


def _signature(found: Any, body: Any, *, bound: bool = False) -> Signature:
    """``body`` is the function that runs; ``bound`` drops a method's own first parameter."""
    kind = _KINDS[kind_of(body)]
    try:
        parameters = list(inspect.signature(_function(found)).parameters.values())
    except Exception:  # noqa: BLE001  (an object may say of itself what it likes)
        return Signature(kind, readable=False)
    if bound:
        parameters = [p for at, p in enumerate(parameters) if at or p.kind not in _POSITIONAL]
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    empty = inspect.Parameter.empty
    return Signature(
        kind,
        required=tuple(p.name for p in positional if p.default is empty),
        most=None if any_number else len(positional),
        keywords=tuple(
            p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is empty
        ),
        cursor=any(p.name == "cursor" for p in parameters),
    )


def _function(found: Any) -> Any:
    return found.__func__ if isinstance(found, (staticmethod, classmethod)) else found


def _near(owner: Any, name: str, root: Path) -> tuple[Definition, ...]:
    try:
        names = [str(known) for known in dir(owner) if not str(known).startswith("__")]
        close = difflib.get_close_matches(name, names, n=_CLOSE)
        found = [(known, inspect.getattr_static(owner, known, None)) for known in close]
    except Exception:  # noqa: BLE001  (a module's own __dir__ may do anything)
        return ()
    return tuple(_definition(known, each, root) for known, each in found)


def _definition(name: str, found: Any, root: Path) -> Definition:
    try:
        target = inspect.unwrap(found) if callable(found) else found
        file = inspect.getsourcefile(target)
        line = inspect.findsource(target)[1] + 1
    except Exception:  # noqa: BLE001  (of a strange object; it is called all the same)
        return Definition(name)
    return Definition(name, _shown(file or "", root), line) if file else Definition(name)


def _import_fault(module: str, error: BaseException, root: Path) -> ImportFault:
    wanted = _wanted(error, root)
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        name = error.name
        if module == name or module.startswith(f"{name}."):
            near = _near_modules(module)
            return ImportFault("absent", str(error), near=near, wanted=wanted)
    message = last_line(error).replace(f"{root}/", "")  # a copy's place says nothing
    hint = cure(error)
    if hint and not missing_variable(error):  # which is told with its stage
        message = f"{message} ({hint})"
    variable = missing_variable(error)
    return ImportFault("raised", message, _user_line(error, root), wanted=wanted, variable=variable)


def _wanted(error: BaseException | None, root: Path) -> tuple[str, ...]:
    """Return the paths below ``root`` that whatever led to ``error`` looked for in vain."""
    found: list[str] = []
    for _step in range(_CAUSES):
        if error is None:
            break
        if isinstance(error, ImportError) and isinstance(error.name, str):
            part = _NOT_IN.match(error.msg) if isinstance(error.msg, str) else None
            name = f"{error.name}.{part[1]}" if part else error.name
            below = name.replace(".", "/")
            found += [f"{folder}{below}" for folder in _folders(root)]
        elif isinstance(error, OSError) and error.errno == errno.ENOENT:
            file = error.filename
            if isinstance(file, str):
                found.append(os.path.relpath(os.path.realpath(file), root))
        error = error.__cause__ or error.__context__
    return tuple(found)


def _folders(root: Path) -> list[str]:
    """Return the folders of the project that modules are looked for in: "" and perhaps "src/"."""
    inside = [Path(entry) for entry in sys.path if Path(entry).is_relative_to(root)]
    return [f"{entry.relative_to(root)}/".removeprefix("./") for entry in inside]


def _user_line(error: BaseException, root: Path) -> Definition | None:
    """Return the last line of the user's own project that led to ``error``."""
    if isinstance(error, SyntaxError) and error.filename:
        return Definition("", _shown(error.filename, root), error.lineno or 0)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if _is_own(Path(f.filename), root)]
    return Definition("", _shown(own[-1].filename, root), own[-1].lineno or 0) if own else None


def _is_own(file: Path, root: Path) -> bool:
    return file.is_relative_to(root) and "site-packages" not in file.parts


def _shown(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


def _near_modules(module: str) -> tuple[str, ...]:
    """Return modules beside the one that is absent whose names are close to it."""
    if module.endswith(".py") and _exists(module[:-3]):
        return (module[:-3],)  # a file's name, where a module's belongs
    known = ""
    for step in module.split("."):
        full = f"{known}.{step}" if known else step
        if _exists(full):
            known = full
            continue
        package: ModuleType | None = sys.modules.get(known) if known else None
        folders = getattr(package, "__path__", []) if known else sys.path[:1]
        names = [f"{known}.{m.name}" if known else m.name for m in pkgutil.iter_modules(folders)]
        rest = module[len(full) :]
        return tuple(f"{name}{rest}" for name in difflib.get_close_matches(full, names, n=_CLOSE))
    return ()


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    # User code may have left threads that never end.
    os._exit(0)
