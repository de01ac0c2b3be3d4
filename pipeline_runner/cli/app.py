"""The verbs, each imported only when it is named, and the one place where errors become words."""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli import output, streams
from pipeline_runner.cli.options import file_option
from pipeline_runner.errors import ExitCode, InvalidPipeline, RunnerError

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order a newcomer meets them; `runner --help` keeps it.
VERBS = {
    "init": "init",
    "check": "check",
    "plan": "plan",
    "files": "files",
    "up": "up",
    "join": "join",
    "down": "down",
    "drain": "drain",
    "debug": "debug",
    "ps": "ps",
    "top": "top",
    "why": "why",
    "errors": "errors",
    "queue": "queue",
    "token": "token",
    "key": "key",
    "clean": "clean",
    "doctor": "doctor",
    "schema": "reference",
    "explain": "reference",
    "completion": "completion",
}


class Verbs(click.Group):
    """A group that imports a verb when it is named, so that completion stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Return the verbs in the order of the help page."""
        return list(VERBS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  (click's signature)
        cmd_name: str,
    ) -> click.Command | None:
        """Import the verb named ``cmd_name``."""
        if cmd_name not in VERBS:
            return None
        command = getattr(import_module(f"pipeline_runner.cli.{VERBS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one was probably meant."""
        name = args[0]
        if name in VERBS:
            return super().resolve_command(ctx, args)
        close = difflib.get_close_matches(name, VERBS, n=1)
        cure = f"Did you mean `runner {close[0]}`?" if close else f"Verbs: {', '.join(VERBS)}"
        raise click.UsageError(f"`{name}` is not a verb of runner. {cure}", ctx)


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: runner init hello && cd hello && runner up",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, wanted: _say_version(ctx) if wanted else None,
    help="Print the version and exit.",
)
def runner(first_file: Path | None) -> None:
    """Run a pipeline of Python functions, described in one TOML file.

    Over many processes, and with `runner join` over many machines.
    """
    del first_file  # each verb asks for it


runner.params.append(file_option("first_file"))


def _say_version(ctx: click.Context) -> None:
    from pipeline_runner import __version__

    click.echo(f"runner {__version__}")
    ctx.exit()


def program() -> str:
    """Return the name this command was started by: ``runner`` or ``clusterer``."""
    name = Path(sys.argv[0]).name
    return name if name in ("runner", "clusterer") else "runner"


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error ends here, as words on stderr."""
    streams.prepare()
    colour = output.wanted_colour(arguments, os.environ)
    try:
        result = runner.main(
            list(arguments), prog_name=program(), standalone_mode=False, color=colour
        )
    except click.exceptions.NoArgsIsHelpError as fault:
        click.echo(fault.format_message(), err=True)
        return ExitCode.USAGE
    except click.UsageError as fault:
        where = fault.ctx.command_path if fault.ctx else "runner"
        text, hint = fault.format_message(), f"{where} --help"
        if isinstance(fault, click.NoSuchOption) and fault.possibilities:
            text, hint = fault.message, f"did you mean {' or '.join(_closest(fault))}?  {hint}"
        output.error(_plainly(text), hint=hint, colour=colour)
        return ExitCode.USAGE
    except click.ClickException as fault:
        output.error(_plainly(fault.format_message()), colour=colour)
        return ExitCode.USAGE
    except InvalidPipeline as fault:
        from pipeline_runner.cli.problems import frames

        click.echo(frames(fault.problems, fault.text, colour), err=True, color=colour)
        return fault.exit_code
    except RunnerError as fault:
        output.error(fault.message, hint=fault.hint, colour=colour)
        return fault.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        streams.put_away()  # who reads our output has seen enough
        return ExitCode.OK
    return int(result or 0)


def _closest(fault: click.NoSuchOption) -> list[str]:
    """Return what may have been meant, the likeliest first."""
    among = list(fault.possibilities or ())
    return difflib.get_close_matches(fault.option_name, among, n=2) or among[:2]


def _plainly(text: str) -> str:
    """Return click's words as ours are written: one sentence, no capital, no full stop."""
    text = text.removesuffix(".")
    return text[:1].lower() + text[1:]
