"""``runner files``: what of the project travels to the hosts, and what hides the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pipeline_runner.cli import output, project
from pipeline_runner.cli.options import CommonOptions, verb
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_runner.sync.survey import Survey
    from pipeline_runner.sync.walk import Left

_SHOWN = 20  # of what is left out; a project can have thousands


@verb("files", file="argument", facts=True)
@click.option("--top", is_flag=True, help="The largest files and folders first.")
def files(common: CommonOptions, top: bool) -> None:
    """List the files that travel to other hosts, and their sizes.

    And what hides the rest. Everything beside the pipeline file travels but for what .gitignore,
    .runnerignore and `ignore` in [sync] hide, and what is never wanted elsewhere: keys, caches,
    environments.
    """
    from pipeline_runner.sync.survey import survey

    pipeline = project.load(common.file)
    try:
        found = survey(pipeline)
    except OSError as error:
        raise UsageError(f"{pipeline.root} cannot be read: {error.strerror}") from error
    if common.json:
        click.echo(json.dumps(_facts(found), indent=2))
        return
    if top:
        _largest(found)
    else:
        for path, size_bytes in sorted(found.files.items()):
            click.echo(_line(size_bytes, path))
    if not common.quiet:
        _explain(found, everything=common.verbose)


def _largest(found: Survey) -> None:
    for name, size_bytes in found.largest_folders(10):
        if name.endswith("/"):
            click.echo(_line(size_bytes, name))
    for path, size_bytes in sorted(found.files.items(), key=lambda file: (-file[1], file[0]))[:10]:
        click.echo(_line(size_bytes, path))


def _explain(found: Survey, *, everything: bool) -> None:
    from pipeline_runner.observe.quantity import plural
    from pipeline_runner.sync.scan import about

    links = f" and {plural(found.links, 'link')}" if found.links else ""
    travels = f"{plural(len(found.files), 'file')}{links}, {about(found.size_bytes)}"
    output.fine(f"{travels} would travel to each host")
    wrong = [left for left in found.left if not left.ruled]
    ruled = [left for left in found.left if left.ruled]
    shown = len(found.left) if everything else _SHOWN
    for left in [*wrong, *ruled][:shown]:
        click.echo(f"   left out  {_named(left)}  ({left.why})", err=True)
    if len(found.left) > shown:
        more = plural(len(found.left) - shown, "more path")
        click.echo(f"   and {more}: runner files -v", err=True)


def _line(size_bytes: int, path: str) -> str:
    from pipeline_runner.observe.quantity import size

    return f"{size(size_bytes):>6}  {_plain(path)}"


def _named(left: Left) -> str:
    return _plain(left.path) + ("/" if left.is_folder else "")


def _plain(path: str) -> str:
    """Return a path for a terminal: a name may hold anything, escape codes too."""
    return path if path.isprintable() else repr(path)[1:-1]


def _facts(found: Survey) -> dict[str, object]:
    return {
        "files": [{"path": path, "size_bytes": s} for path, s in sorted(found.files.items())],
        "links": found.links,
        "size_bytes": found.size_bytes,
        "left": _left(found.left),
    }


def _left(left: Iterable[Left]) -> list[dict[str, object]]:
    return [
        {"path": each.path, "folder": each.is_folder, "why": each.why, "ruled": each.ruled}
        for each in left
    ]
