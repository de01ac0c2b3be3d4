from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.house import House, house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def head(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as served:
        yield served
