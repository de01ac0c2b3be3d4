"""What every verb shares: FILE and ``-f FILE``, ``--json``, ``-q``, ``-v``, ``--color``."""

from __future__ import annotations

import functools
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_FILE = Path("pipeline.toml")


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """How a verb was asked: on which file, and how to answer."""

    file: Path
    json: bool
    quiet: bool
    verbose: bool
    colour: bool | None  # None: if it is a terminal
    pipeline: str = ""  # one that runs elsewhere
    found: bool = False  # the default file, in a folder above

    @property
    def again(self) -> str:
        """What another command needs to mean the same run: empty for the default file's."""
        if self.pipeline:
            return f" --pipeline {self.pipeline}"
        is_default = self.found or self.file == DEFAULT_FILE
        return "" if is_default else f" -f {shlex.quote(str(self.file))}"


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
            context = click.get_current_context()
            above = context.find_root().params.get("first_file")
            if above is not None and file == "none":
                raise click.UsageError(f"{name} takes no pipeline file", context)
            named = [one for one in (bare_file, named_file, above) if one is not None]
            if any(one != named[0] for one in named):
                raise click.UsageError(f"two files are named: {named[0]} and {named[-1]}")
            searched = None if named or file == "none" else _above()
            common = CommonOptions(
                file=searched or (_in_folder(named[0]) if named else DEFAULT_FILE),
                json=as_json,
                quiet=quiet,
                verbose=verbose,
                colour=context.color,
                pipeline=pipeline_name,
                found=searched is not None,
            )
            return function(common, **rest)

        command = click.command(name)(called)
        command.params = [*_before(file), *command.params, *_after(file, facts, elsewhere)]
        return command

    return decorate


def _before(file: str) -> Sequence[click.Parameter]:
    if file != "argument":
        return ()
    return (click.Argument(["bare_file"], metavar="[FILE|DIR]", required=False, type=_path()),)


def _after(file: str, facts: bool, elsewhere: bool) -> Sequence[click.Parameter]:
    shared: list[click.Parameter] = []
    if file != "none":
        shared.append(file_option("named_file"))
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


def file_option(name: str) -> click.Option:
    """Return ``-f FILE`` as the parameter ``name``."""
    text = "The pipeline file.  [default: pipeline.toml, here or in a folder above]"
    return click.Option(["-f", "--file", name], metavar="FILE", type=_path(), help=text)


def _path() -> click.Path:
    return click.Path(path_type=Path)


def _in_folder(path: Path) -> Path:
    """Return the file that is meant by a folder: its own."""
    # Of a name that is too long, Path raises.
    return path / DEFAULT_FILE if os.path.isdir(path) else path  # noqa: PTH112


def _above() -> Path | None:
    """Return the default file in the nearest folder above that has one, relative to here.

    None if there is one here, or none at all. As git does for its own folder, this ends where
    another file system begins, and takes nothing that is another user's: to look into a project
    is to run its code.
    """
    if DEFAULT_FILE.exists():
        return None
    try:
        here = Path.cwd()
        device = here.stat().st_dev
        for up, folder in enumerate(here.parents, 1):
            if folder.stat().st_dev != device:
                return None
            file = folder / DEFAULT_FILE
            if file.is_file():
                is_ours = {file.stat().st_uid, folder.stat().st_uid} <= {os.getuid()}
                return Path(*[".."] * up, DEFAULT_FILE) if is_ours else None
    except OSError:  # the working directory is gone, or a folder cannot be looked into
        return None
    return None
