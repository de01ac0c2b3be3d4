"""What the text of a function says of what it gives and takes: read, never run.

Where the text cannot be found, or says nothing for sure, the answer is that nothing is known.
"""

from __future__ import annotations

import ast
import functools
import inspect
import tokenize
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_runner.config.callables import Gives

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_APART = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

# What makes many of something, by the name it is called by. A dict or a tuple may be one record.
_MAKERS = frozenset({"list", "set", "sorted", "range", "map", "filter", "zip", "enumerate", "iter"})
_MAKING = frozenset({"readlines", "splitlines", "glob", "rglob", "iterdir", "listdir", "scandir"})
_LEAVING = frozenset({"exit", "_exit", "quit", "abort", "assert_never"})


def gives(function: Any) -> Gives:
    """Return what a call of ``function``, which is no generator, returns."""
    node = _node(function)
    if node is None:
        return ""
    returned = [each.value for each in _own(node.body) if isinstance(each, ast.Return)]
    values = [value for value in returned if value is not None and not _is_none(value)]
    falls = not _ends(node.body)
    if not values:
        return "nothing" if falls or returned else ""
    if falls or len(values) < len(returned) or any(map(_may_be_none, values)):
        return "sometimes nothing"
    assigned = _assigned(node.body)
    many = [_is_many(value, assigned) for value in values]
    return "many" if all(many) and not _names(node) & {"END", "StopIteration"} else "a value"


def reads_stdin(function: Any) -> bool:
    """Whether ``function`` itself reads the standard input."""
    node = _node(function)
    return node is not None and any(map(_is_stdin, ast.walk(node)))


def _node(function: Any) -> _Function | None:
    try:
        function = inspect.unwrap(function)
        code = getattr(function, "__func__", function).__code__
        node = _nodes(code.co_filename).get(code.co_firstlineno)
        name = code.co_name
    except Exception:  # noqa: BLE001  (an object may be anything, and so may its file)
        return None
    return node if node is not None and node.name == name else None  # not a lambda on its line


@functools.lru_cache(32)
def _nodes(file: str) -> dict[int, _Function]:
    """Return the functions of a file by the line that each, its decorators included, begins at."""
    with tokenize.open(file) as text:
        tree = ast.parse(text.read())
    return {
        min([node.lineno, *(each.lineno for each in node.decorator_list)]): node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def _own(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of a function that are not of another one inside it."""
    for node in body:
        yield node
        if not isinstance(node, _APART):
            yield from _own(list(ast.iter_child_nodes(node)))


def _names(node: ast.AST) -> set[str]:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _may_be_none(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return any(_is_none(each) or _may_be_none(each) for each in (value.body, value.orelse))
    return False


def _assigned(body: Sequence[ast.AST]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in _own(body):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                assert isinstance(node, (ast.Assign, ast.AnnAssign))
                assert node.value is not None
                found.setdefault(target.id, []).append(node.value)
    return found


def _is_many(value: ast.expr, assigned: dict[str, list[ast.expr]]) -> bool:
    match value:
        case ast.List() | ast.ListComp() | ast.Set() | ast.SetComp() | ast.GeneratorExp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _MAKERS
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in _MAKING
        case ast.Name(id=name):
            inner = assigned.get(name, [])
            return bool(inner) and all(_is_many(each, {}) for each in inner)
    return False


def _is_stdin(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="input")):
            return True
        case ast.Attribute(value=ast.Name(id="sys"), attr="stdin" | "__stdin__"):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="fileinput"), attr="input")):
            return True
        case ast.Constant(value="/dev/stdin"):
            return True
    return False


def _ends(body: Sequence[ast.stmt]) -> bool:
    """Whether no way leads through ``body`` to what comes after it."""
    return any(map(_leaves, body))


def _leaves(node: ast.stmt) -> bool:
    match node:
        case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
            return True
        case ast.If():
            return _ends(node.body) and _ends(node.orelse)
        case ast.With() | ast.AsyncWith():
            return _ends(node.body)
        case ast.Try():
            tried = _ends(node.body) or _ends(node.orelse)
            caught = all(_ends(handler.body) for handler in node.handlers)
            return _ends(node.finalbody) or (tried and caught)
        case ast.While():
            forever = isinstance(node.test, ast.Constant) and bool(node.test.value)
            return forever and not _breaks(node.body)
        case ast.For() | ast.AsyncFor():
            return _ends(node.orelse) and not _breaks(node.body)
        case ast.Match():
            last = node.cases[-1]
            is_whole = last.guard is None and _takes_all(last.pattern)
            return is_whole and all(_ends(case.body) for case in node.cases)
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))):
            return name in _LEAVING
    return False


def _takes_all(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _breaks(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop with this body is left by a ``break`` of its own."""
    for node in body:
        if isinstance(node, ast.Break):
            return True
        if isinstance(node, (*_APART, ast.For, ast.AsyncFor, ast.While)):
            continue
        inner = [each for each in ast.walk(node) if isinstance(each, ast.Break)]
        if inner:
            return True
    return False
