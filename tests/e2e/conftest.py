from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.projects import fresh_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kit import Project


@pytest.fixture
def project() -> Iterator[Project]:
    with fresh_project() as project:
        yield project
