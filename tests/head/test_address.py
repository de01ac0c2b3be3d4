"""Where a head's sockets are, when its folder's path is nearly too long for one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.errors import NoHead
from pipeline_runner.head.address import SOCKETS, Address, find

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 107  # bytes that the kernel takes


@pytest.fixture
def folder_of() -> Iterator[Path]:
    """A folder whose own path is short: pytest's is not."""
    with tempfile.TemporaryDirectory(prefix="r-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("length", range(LONGEST - 16, LONGEST - 6))
def test_every_socket_fits_the_kernel_however_long_the_path_is(
    folder_of: Path, length: int
) -> None:
    base = len(os.fsencode(folder_of))
    state = folder_of / ("s" * (length - base - 1))
    address = Address(state, "p")
    address.take()
    folder = address.socket.parent
    assert all(len(os.fsencode(folder / name)) <= LONGEST for name in SOCKETS)
    assert (folder == state) == (length + 1 + max(map(len, SOCKETS)) <= LONGEST)
    address.leave()
    assert folder == state or not folder.exists()


@pytest.mark.parametrize("text", ["", '{"pid": 4', "[1]", "{}", '{"socket": 4}', "\0"])
def test_what_no_head_can_have_written_of_itself_is_no_head(tmp_path: Path, text: str) -> None:
    (tmp_path / "head.json").write_text(text)
    with pytest.raises(NoHead):
        find(tmp_path)
