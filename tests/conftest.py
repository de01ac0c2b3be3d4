"""What every test shares: nothing of the person who runs them, and no network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.nobody import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

# A machine that guards a branch repeats itself: what it refuses can be looked at. A person's own
# runs go on looking for what nobody has thought of, and now and then for longer.
settings.register_profile("guard", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.register_profile("deep", deadline=None, max_examples=2_000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "guard" if os.environ.get("CI") else "search")
)


@pytest.fixture(scope="session", autouse=True)
def _nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep keys and caches of the tests' pipelines apart, and their heads off the network."""
    home = tmp_path_factory.mktemp("nobody")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in nobody(home).items():
            patch.setenv(name, value)
        for name in ("COLUMNS", "LINES"):  # side by side, tests are given the size of no terminal
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def _no_output_folder() -> Iterator[None]:
    """Keep what `runner debug` says of its output, called in this process, from the next test."""
    yield
    os.environ.pop("RUNNER_OUTPUT", None)
