"""The certificate of a head: made by itself, known by its fingerprint, for as long as it is kept.

Nobody vouches for it. Whoever connects compares the fingerprint with that of a signed offer or a
token, and both sides prove the key all the same; so no clock has a say in whether it is valid.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate as Signed

CERTIFICATE, KEY = "certificate.pem", "certificate.key"
_EVER = datetime(2000, 1, 1, tzinfo=timezone.utc)
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)  # RFC 5280: it does not expire


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files, and the SHA-256 of the certificate in 64 hexadecimal digits."""

    cert: Path
    key: Path
    fingerprint: str


def certificate(folder: Path) -> Certificate:
    """Return the certificate kept in ``folder``, made on first use; both files are 0600.

    One that cannot be used is replaced. Raises UsageError where it cannot be written.
    """
    cert, key = folder / CERTIFICATE, folder / KEY
    if not _fits(cert, key):
        try:
            _make(cert, key)
        except OSError as error:
            raise UsageError(
                f"cannot keep a certificate in {folder}: {error.strerror}",
                hint="`state` in [server] names another folder",
            ) from error
    return Certificate(cert, key, fingerprint(ssl.PEM_cert_to_DER_cert(cert.read_text())))


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate in its binary form, as 64 hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


def _fits(cert: Path, key: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True


def _make(cert: Path, key: Path) -> None:
    from cryptography.hazmat.primitives import serialization  # slow to import, and seldom needed
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    private_pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # The key last: a certificate without it, or with another's, is made again.
    _write(cert, _signed(private).public_bytes(serialization.Encoding.PEM))
    _write(key, private_pem)


def _signed(private: EllipticCurvePrivateKey) -> Signed:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pipeline_runner")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_EVER)
        .not_valid_after(_NEVER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
