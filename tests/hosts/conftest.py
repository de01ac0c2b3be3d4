from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.hosts.lan import Lan, NoNamespaces, lan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def network() -> Iterator[Callable[..., Lan]]:
    """Give a maker of networks: ``network("desk", "pi")``.

    Where there are no namespaces the test is skipped, but in CI it fails: what is promised of
    other machines is not to go unproved there.
    """
    with ExitStack() as made:

        def make(*names: str) -> Lan:
            try:
                return made.enter_context(lan(*names))
            except NoNamespaces as why:
                if os.environ.get("CI"):
                    pytest.fail(f"no hosts to test on: {why}")
                pytest.skip(f"no hosts to test on: {why}")

        yield make
