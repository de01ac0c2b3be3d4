"""``runner schema`` and ``runner explain KEY``: the file's keys, for editors and for people."""

from __future__ import annotations

import click

from pipeline_runner.cli.options import CommonOptions, verb


@verb("schema", file="none")
def schema(common: CommonOptions) -> None:  # noqa: ARG001
    """Print the JSON schema of the pipeline file."""
    from pipeline_runner.config.schema import schema_text

    click.echo(schema_text(), nl=False)


@verb("explain", file="none")
@click.argument("key", metavar="[KEY]", default="")
def explain(common: CommonOptions, key: str) -> None:  # noqa: ARG001
    """Explain a KEY of the pipeline file, or list them all.

    For example: runner explain stages.processes
    """
    from pipeline_runner.config.explain import explain as meaning

    click.echo(meaning(key))
