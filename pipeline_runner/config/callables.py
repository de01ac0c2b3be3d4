"""What importing a stage's callable showed: plain facts, gathered in another interpreter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Gives = Literal["", "nothing", "sometimes nothing", "many", "a value"]
CallableKind = Literal["function", "generator", "coroutine", "asyncgen"]


@dataclass(frozen=True, slots=True)
class Signature:
    """How something can be called.

    ``kind`` says what a call gives. ``required`` are the names of positional parameters without
    a default, ``most`` is how many positional arguments it takes (None: any number), and
    ``keywords`` are the keyword-only parameters without a default. ``cursor`` is whether it has
    a parameter of that name. ``readable`` is False where Python cannot tell (some built-ins).
    """

    kind: CallableKind
    required: tuple[str, ...] = ()
    most: int | None = None
    keywords: tuple[str, ...] = ()
    cursor: bool = False
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Definition:
    """A name and where it was defined; ``file`` is relative to the project, or empty."""

    name: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else ""


@dataclass(frozen=True, slots=True)
class ImportFault:
    """Why a module could not be imported.

    ``kind`` is "absent" (there is no such module, ``near`` are those it could have been),
    "raised" (``message`` says what), "died" or "timeout". ``place`` is the user's own line.
    ``wanted`` are the paths in the project, without an ending if they are modules, one of which
    would have helped. ``variable`` is what the environment does not have.
    """

    kind: Literal["absent", "raised", "died", "timeout"]
    message: str
    place: Definition | None = None
    near: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """``owner`` was imported and has no ``name``; ``near`` are names it does have."""

    owner: str
    name: str
    near: tuple[Definition, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What there is at one stage's ``run``.

    One of ``fault``, ``missing`` and ``signature`` is set, unless the object is not callable
    (``type_name`` says what it is). For a class, ``signature`` is that of its instances, or None
    when they cannot be called, and ``constructor`` that of the class. ``decorator`` is what the
    user's decorator said: "source", "stage" or "sink". ``gives`` is what a call returns as far as
    its text shows, "" where it does not, and ``reads_stdin`` whether it reads the standard input.
    """

    fault: ImportFault | None = None
    missing: Missing | None = None
    signature: Signature | None = None
    constructor: Signature | None = None
    definition: Definition | None = None
    type_name: str = ""
    decorator: str | None = None
    patched_by: str = ""  # the package that has replaced what asyncio waits with, for async code
    gives: Gives = ""
    reads_stdin: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> ProbeResult:
        """Return the result that :meth:`as_json` described. Raises KeyError or TypeError."""
        fault, missing = data["fault"], data["missing"]
        return ProbeResult(
            fault=fault
            and ImportFault(
                **{
                    **fault,
                    "place": _definition(fault["place"]),
                    "near": tuple(fault["near"]),
                    "wanted": tuple(fault["wanted"]),
                }
            ),
            missing=missing
            and Missing(
                **{**missing, "near": tuple(Definition(**near) for near in missing["near"])}
            ),
            signature=_signature(data["signature"]),
            constructor=_signature(data["constructor"]),
            definition=_definition(data["definition"]),
            type_name=data["type_name"],
            decorator=data["decorator"],
            patched_by=data["patched_by"],
            gives=data["gives"],
            reads_stdin=data["reads_stdin"],
        )


def _definition(data: dict[str, Any] | None) -> Definition | None:
    return None if data is None else Definition(**data)


def _signature(data: dict[str, Any] | None) -> Signature | None:
    if data is None:
        return None
    lists = {key: tuple(data[key]) for key in ("required", "keywords")}
    return Signature(**{**data, **lists})
