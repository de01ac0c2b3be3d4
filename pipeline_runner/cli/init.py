"""``runner init [DIR]``: a small project that runs."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from pathlib import Path

import click

from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import UsageError

_LONGEST_NAME = 40


@verb("init", file="none")
@click.argument(
    "folder", metavar="[DIR]", default=Path(), type=click.Path(file_okay=False, path_type=Path)
)
def init(common: CommonOptions, folder: Path) -> None:
    """Make a project that runs, in DIR or here. Never overwrites a file."""
    files = project(pipeline_name(folder.resolve().name))
    # An ignore file is the one thing a folder may well have before: it is left as it is.
    kept = [name for name in (".gitignore",) if (folder / name).exists()]
    there = [name for name in files if (folder / name).exists() and name not in kept]
    if there:
        raise UsageError(
            f"{_shown(folder)} has {', '.join(there)} already: nothing was written",
            hint="choose another folder: runner init hello",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if name not in kept:
            # "x" also holds against whoever writes the file between the look and the write.
            with (folder / name).open("x", encoding="utf-8") as out:
                out.write(text)
    if common.quiet:
        return
    width = max(map(len, files))
    for name in files:
        what = "was there; add the line .runner/ to it" if name in kept else _WHAT[name]
        click.echo(f"  {name:<{width}}  {what}", err=True)
    go = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    click.echo(f"Now: {click.style(f'{go}runner up', fg='cyan')}", err=True)


_WHAT = {
    "pipeline.toml": "three stages and the queues between them",
    "functions.py": "what the stages do",
    ".gitignore": "keeps .runner/, the state of a run, out of git",
    "pipeline.schema.json": "lets an editor complete and check pipeline.toml",
}


def project(name: str) -> dict[str, str]:
    """Return the files of a new project, name to text, for a pipeline called ``name``."""
    from pipeline_runner.config.schema import schema_text

    starter = resources.files("pipeline_runner.cli") / "starter"

    def text(file: str) -> str:
        return (starter / file).read_text(encoding="utf-8")

    return {
        "pipeline.toml": text("pipeline.toml.in").replace("@NAME@", name),
        "functions.py": text("functions.py.in"),
        ".gitignore": text("gitignore.in"),
        "pipeline.schema.json": schema_text(),
    }


def pipeline_name(folder: str) -> str:
    """Return ``folder`` as a pipeline may be called: lower case letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower())[:_LONGEST_NAME].strip("-")
    return name or "hello"


def _shown(folder: Path) -> str:
    return "this folder" if folder == Path() else str(folder)
