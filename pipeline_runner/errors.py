"""What can go wrong, as data: problems found in a file, and errors that end a command.

Nothing here prints. ``cli`` turns a :class:`RunnerError` into words and an exit code, and
``config.report`` turns a :class:`Problem` into a frame with a caret.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class ExitCode(IntEnum):
    """What the shell sees when a command ends."""

    OK = 0
    ERRORS = 1  # errors were found; dead letters remain, or items, however the run was stopped
    USAGE = 2  # wrong arguments, or a file that is not there
    NO_HEAD = 3
    REFUSED = 4  # another key, or another version
    TIMED_OUT = 5
    CHANGES = 10  # `plan --exit-code`
    INTERRUPTED = 130  # Ctrl-C, and items remain; or a second one, which waits for nothing
    TERMINATED = 143  # a second SIGTERM, or `down --now`


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of text in a file: 1-based lines and columns in code points, end exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a file: what is wrong, where, and what would cure it.

    ``code`` is a stable kebab-case name; ``message`` is one sentence without a full stop;
    ``hint`` is the cure, or empty; ``span`` is None only for a fault of no place in the file.
    """

    code: str
    message: str
    span: Span | None = None
    hint: str = ""
    severity: Severity = "error"


class RunnerError(Exception):
    """A fault a user can understand and cure: ``hint`` says how, ``exit_code`` ends the command."""

    exit_code: ExitCode = ExitCode.ERRORS

    def __init__(self, message: str, *, hint: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:  # what another process says of it
            known = code in set(ExitCode)
            self.exit_code = ExitCode(code) if known else ExitCode.ERRORS


class UsageError(RunnerError):
    """The command or the file cannot be used as given."""

    exit_code = ExitCode.USAGE


class InvalidPipeline(RunnerError):
    """The pipeline file has faults; ``problems`` holds every one of them, in file order."""

    exit_code = ExitCode.ERRORS

    def __init__(self, problems: tuple[Problem, ...], text: str) -> None:
        errors = sum(problem.severity == "error" for problem in problems)
        super().__init__(f"{errors} error{'s' if errors != 1 else ''} in the pipeline file")
        self.problems = problems
        self.text = text


class NoHead(RunnerError):
    """No head of this pipeline is running where we looked."""

    exit_code = ExitCode.NO_HEAD


class AlreadyRunning(RunnerError):
    """Another head of this pipeline holds the state folder."""

    exit_code = ExitCode.USAGE


class NestedRun(UsageError):
    """A pipeline would run inside itself, or whenever a module of its stages is imported."""


class Refused(RunnerError):
    """The other side refused us: another key, protocol or run."""

    exit_code = ExitCode.REFUSED


class ProtocolError(RunnerError):
    """A frame that no version of this protocol sends."""

    exit_code = ExitCode.REFUSED


class TimedOut(RunnerError):
    """What was waited for did not happen in time."""

    exit_code = ExitCode.TIMED_OUT
