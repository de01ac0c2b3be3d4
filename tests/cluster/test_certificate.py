"""The head's certificate, by which those who join know it."""

from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_runner.cluster.certificate import certificate, fingerprint
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    assert certificate(tmp_path) == made
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert set(tmp_path.iterdir()) == {made.cert, made.key}
    assert len(bytes.fromhex(made.fingerprint)) == 32


def test_its_fingerprint_is_what_a_client_sees_over_tls_1_3(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.minimum_version = ssl.TLSVersion.TLSv1_3
    there.load_cert_chain(made.cert, made.key)
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    here.check_hostname, here.verify_mode = False, ssl.CERT_NONE
    client = here.wrap_bio(ours, theirs)
    server = there.wrap_bio(theirs, ours, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    der = client.getpeercert(binary_form=True)
    assert der is not None
    assert client.version() == "TLSv1.3"
    assert fingerprint(der) == made.fingerprint


@pytest.mark.parametrize("spoil", ["certificate.pem", "certificate.key"])
@pytest.mark.parametrize("how", ["gone", "empty", "another's"])
def test_one_that_cannot_be_used_is_made_again(tmp_path: Path, spoil: str, how: str) -> None:
    first = certificate(tmp_path)
    file = tmp_path / spoil
    if how == "gone":
        file.unlink()
    elif how == "empty":
        file.write_text("")
    else:
        (tmp_path / "other").mkdir()
        certificate(tmp_path / "other")
        file.write_bytes((tmp_path / "other" / spoil).read_bytes())
    again = certificate(tmp_path)
    assert again.fingerprint != first.fingerprint
    assert certificate(tmp_path) == again


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot keep a certificate in"):
        certificate(tmp_path / "nowhere")


def test_nothing_heavy_is_imported_until_one_is_made() -> None:
    code = (
        "import pipeline_runner.cluster.discovery, pipeline_runner.cluster.identity, sys;"
        "print('cryptography' in sys.modules, 'psutil' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
