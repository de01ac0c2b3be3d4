"""What every verb shares: FILE and ``-f FILE``, ``--json``, ``-q``, ``-v``, ``--color``."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_FILE = Path("pipeline.toml")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a verb was asked: on which file, and how to answer."""

    file: Path
    json: bool
    quiet: bool
    verbose: bool
    colour: bool | None  # None: if it is a terminal
    pipeline: str = ""  # one that runs elsewhere

    @property
    def again(self) -> str:
        """What another command needs to mean the same run: empty for the default file's."""
        if self.pipeline:
            return f" --pipeline {self.pipeline}"
        return "" if self.file == DEFAULT_FILE else f" -f {shlex.quote(str(self.file))}"


def verb(
    name: str,
    *,
    file: Literal["argument", "option", "none"] = "option",
    facts: bool = False,
    elsewhere: bool = False,
) -> Callable[[Callable[..., int | None]], click.Command]:
    """Make a function a verb: it is called with a :class:`Manner` and its own parameters.

    ``file`` says whether FILE may stand bare after the verb, needs its ``-f``, or is not asked
    for; ``facts`` adds ``--json``, and ``elsewhere`` a way to mean a run on another machine. What
    the function returns is the exit code; None is 0.
    """

    def decorate(function: Callable[..., int | None]) -> click.Command:
        @functools.wraps(function)
        def called(
            bare_file: Path | None = None,
            named_file: Path | None = None,
            as_json: bool = False,
            quiet: bool = False,
            verbose: bool = False,
            pipeline_name: str = "",
            **rest: Any,
        ) -> int | None:
            if bare_file and named_file and bare_file != named_file:
                raise click.UsageError(f"two files are named: {bare_file} and {named_file}")
            manner = Manner(
                file=bare_file or named_file or DEFAULT_FILE,
                json=as_json,
                quiet=quiet,
                verbose=verbose,
                colour=click.get_current_context().color,
                pipeline=pipeline_name,
            )
            return function(manner, **rest)

        command = click.command(name)(called)
        command.params = [*_before(file), *command.params, *_after(file, facts, elsewhere)]
        return command

    return decorate


def _before(file: str) -> Sequence[click.Parameter]:
    if file != "argument":
        return ()
    return (click.Argument(["bare_file"], metavar="[FILE]", required=False, type=_path()),)


def _after(file: str, facts: bool, elsewhere: bool) -> Sequence[click.Parameter]:
    shared: list[click.Parameter] = []
    if file != "none":
        text = "The pipeline file.  [default: pipeline.toml]"
        shared.append(
            click.Option(["-f", "--file", "named_file"], metavar="FILE", type=_path(), help=text)
        )
    if elsewhere:
        text = "A pipeline that runs on another machine."
        shared.append(
            click.Option(["--pipeline", "pipeline_name"], metavar="NAME", default="", help=text)
        )
    if facts:
        shared.append(
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout.")
        )
    shared.append(click.Option(["-q", "--quiet"], is_flag=True, help="Say only what matters."))
    shared.append(click.Option(["-v", "--verbose"], is_flag=True, help="Say more."))
    shared.append(
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            expose_value=False,  # read before the arguments are parsed: see say.wanted_colour
            help="Colour the output.  [default: auto, and NO_COLOR is honoured]",
        )
    )
    return shared


def _path() -> click.Path:
    return click.Path(dir_okay=False, path_type=Path)
