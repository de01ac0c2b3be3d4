"""A release to work in: the tree that is there already, or a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.sync.apply import build
from pipeline_runner.sync.collect import drop, sweep
from pipeline_runner.sync.local_writes import compare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.sync.manifest import Manifest
    from pipeline_runner.sync.store import Lease, Store


def check_out(
    store: Store, manifest: Manifest, output: Path, go_on: Callable[[], bool] = lambda: True
) -> tuple[Lease, list[Path]]:
    """Return a lease of the release's tree, and what a run before had written into it, moved.

    The tree is current from now on. Raises MissingObject if a content is not in the store, other
    RunnerErrors if this host cannot hold the release, OSError if the disk does not take it, and
    Halted once ``go_on`` says no.
    """
    with store.locked():
        moved: list[Path] = []
        name = store.find(manifest.release)
        if name:
            with store.alone(name) as is_free:
                if is_free:
                    moved, is_whole = sweep(store, name, manifest, output)
                else:
                    _strays, is_whole = compare(store.tree(name), manifest)
            if not is_whole:
                moved += drop(store, name, output)
                name = ""
        is_new = not name
        if is_new:
            name = build(store, manifest, go_on)
        store.make_current(name)
        return store.lease(name, manifest, is_new=is_new), moved


def hand_back(store: Store, lease: Lease, output: Path) -> list[Path]:
    """End a lease; return what was written into the tree, moved, unless another uses it still.

    Raises OSError.
    """
    with store.locked():
        name = lease.root.name
        lease.end()
        with store.alone(name) as is_free:
            return sweep(store, name, lease.manifest, output)[0] if is_free else []
