"""``runner completion SHELL``: the script that teaches a shell our verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pipeline_runner.cli.options import CommonOptions, verb


@verb("completion", file="none")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(common: CommonOptions, shell: str) -> None:  # noqa: ARG001
    """Print the completion script for SHELL.

    \b
    bash:  echo 'eval "$(runner completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(runner completion zsh)"'  >> ~/.zshrc
    fish:  runner completion fish > ~/.config/fish/completions/runner.fish
    """
    from pipeline_runner.cli.app import program, runner

    name = program()
    cls = get_completion_class(shell)
    assert cls is not None, shell
    click.echo(cls(runner, {}, name, f"_{name.upper()}_COMPLETE").source())
