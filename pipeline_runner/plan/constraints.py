"""Rules held against a host: does it hold, and what is the host's actual value."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pipeline_runner.config.expressions import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.config.expressions import Constraint, CountExpr
    from pipeline_runner.plan.hosts import Host

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT = "unset"


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule about a stage on a host: the rule as written, the host's value, did it hold."""

    rule: str
    actual: str
    held: bool = False


def check(constraint: Constraint, host: Host) -> Reason:
    """Return how ``host`` stands to ``constraint``.

    A label the host does not have differs from every value: only ``!=`` holds.
    """
    value = attribute(host, constraint.attribute)
    return Reason(str(constraint), _shown(constraint.attribute, value), _holds(constraint, value))


def count(expression: CountExpr, host: Host) -> int:
    """Return how many workers ``expression`` gives ``host``, floored and at least 0."""
    base: int = getattr(host, expression.base)
    match expression.op:
        case None:
            result = base
        case "+":
            result = base + expression.n
        case "-":
            result = base - expression.n
        case "*":
            result = base * expression.n
        case "/":
            result = base // expression.n
    return max(0, result)


def attribute(host: Host, name: str) -> str | int | bool | None:
    """Return the host's value of a constraint's attribute; None for a label it does not have."""
    if name.startswith("label."):
        return host.labels.get(name.removeprefix("label."))
    value: str | int | bool = host.name if name == "host" else getattr(host, name)
    return value


def _holds(constraint: Constraint, value: str | int | bool | None) -> bool:
    wanted = constraint.value
    if constraint.op == "in":
        assert isinstance(wanted, tuple)
        return any(_compare("==", value, one) for one in wanted)
    assert not isinstance(wanted, tuple)
    if value is None:
        return constraint.op == "!="
    if constraint.op == "~":
        return fnmatchcase(str(value), str(wanted))
    return _compare(constraint.op, value, wanted)


def _compare(op: str, value: str | int | bool | None, wanted: str | int | bool | Version) -> bool:
    if isinstance(wanted, Version):
        # Only as many parts as were written, so that 3.11.4 is neither above nor below 3.11.
        parts = tuple(int(part) for part in str(value).split(".")[: len(wanted.parts)])
        return _COMPARE[op](parts, wanted.parts)
    return _COMPARE[op](value, wanted)


def _shown(name: str, value: str | int | bool | None) -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return str(value).lower()
    if name == "memory":
        gib = int(value) / 1024**3
        return f"{gib:.1f}GiB" if gib >= 1 else f"{int(value) / 1024**2:.0f}MiB"
    return str(value)
