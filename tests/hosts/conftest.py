from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.hosts.site import network as make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hosts.lan import Lan


@pytest.fixture
def network() -> Iterator[Callable[..., Lan]]:
    """Give a maker of networks: ``network("desk", "pi")``."""
    with ExitStack() as made:
        yield lambda *names: made.enter_context(make(*names))
