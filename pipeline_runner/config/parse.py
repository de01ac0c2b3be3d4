"""From the text of a file to a pipeline, or to every problem it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli

from pipeline_runner.config.checks import check
from pipeline_runner.config.environment import substitute
from pipeline_runner.config.faults import placed
from pipeline_runner.config.limits import check_limits, is_too_deep
from pipeline_runner.config.locate import Locator, lies_in
from pipeline_runner.config.pipeline import Pipeline, from_file
from pipeline_runner.config.secrets import check_secrets
from pipeline_runner.config.syntax import long_number_problem, syntax_problem
from pipeline_runner.config.validate import validate
from pipeline_runner.errors import InvalidPipeline, Problem, Span, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_runner.config.locate import KeyPath


def parse(
    text: str, *, file: str, environ: Mapping[str, str]
) -> tuple[Pipeline | None, tuple[Problem, ...]]:
    """Return the pipeline that ``text`` describes, and what there is to say about it.

    ``file`` is its name in the problems and the place of the project; nothing is read from it.
    The problems are in file order. With an error among them there is no pipeline.
    """
    parsed = parse_all(text, file=file, environ=environ)
    return parsed.pipeline, parsed.problems


@dataclass(frozen=True)
class Parsed:
    """A text, read: the pipeline it describes, unless an error is among its problems.

    ``sketch`` is what is sound of it, for the checks that can do with that; None where not even
    the syntax is sound. ``faulty`` are the places of the errors, by which a check can tell whether
    it looks at what was meant.
    """

    pipeline: Pipeline | None
    problems: tuple[Problem, ...]
    sketch: Pipeline | None = None
    faulty: frozenset[KeyPath] = frozenset()
    locator: Locator | None = None


def parse_all(text: str, *, file: str, environ: Mapping[str, str]) -> Parsed:
    """Return what :func:`parse` does, and what is left where there is an error."""
    try:
        raw = _read_toml(text)
    except tomli.TOMLDecodeError as error:
        return Parsed(None, (syntax_problem(error, text, file),))
    except RecursionError:
        message, hint = "values lie too deep in each other", "nothing here needs lists in lists"
        return Parsed(None, (Problem("toml-syntax", message, Span(file, 1, 1, 1, 1), hint),))
    except ValueError:  # not of TOML: Python reads no number of more than 4,300 digits
        return Parsed(None, (long_number_problem(text, file),))
    data, faults, changed = substitute(raw, environ)
    faults += [*check_secrets(raw), *check_limits(raw)]
    draft, refused = validate(data, frozenset(fault.path for fault in faults))
    if draft is not None:
        known = {fault.path for fault in (*faults, *refused)}
        refused += [fault for fault in check(draft) if not lies_in(fault.path, known)]
    # Characters of a text that came from the environment have no place in the file.
    faults += [fault.whole() if fault.path in changed else fault for fault in refused]
    locator = Locator(text, file)
    problems = placed(faults, locator)
    faulty = frozenset(fault.path for fault in faults if fault.severity == "error")
    sketch = None if draft is None else from_file(draft.file, Path(file))
    return Parsed(None if faulty else sketch, problems, sketch, faulty, locator)


def _read_toml(text: str) -> dict[str, Any]:
    """Return the data of ``text``. Raises what tomli raises, or RecursionError where it is deep."""
    raw = tomli.loads(text)
    if is_too_deep(raw):
        raise RecursionError
    return raw


def read(path: Path) -> str:
    """Return the text of the file at ``path``. Raises UsageError when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        hint = "name it (`runner check FILE`), or begin one with `runner init`"
        raise UsageError(f"there is no {path}", hint=hint) from None
    except IsADirectoryError:
        raise UsageError(
            f"{path} is a folder", hint=f"did you mean {path}/pipeline.toml?"
        ) from None
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text (at byte {error.start})"
        raise UsageError(message, hint="TOML is always UTF-8; save it so") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def load(path: Path, environ: Mapping[str, str]) -> Pipeline:
    """Return the pipeline of the file at ``path``, with its own path resolved.

    Raises InvalidPipeline with every problem of the file, or UsageError when it cannot be read.
    """
    text = read(path)
    pipeline, problems = parse(text, file=str(path), environ=environ)
    if pipeline is None:
        raise InvalidPipeline(problems, text)
    return pipeline.at(path.resolve())
