"""Where a head is reached, and by what it is known: a Unix socket of this host, or a TCP address.

Plain data, to travel between processes of one host; the key in it is a secret.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A head's door: ``socket``, or ``host`` and ``port`` with what proves whose they are.

    ``fingerprint`` is the SHA-256 of the head's certificate in hex; without one the proof alone
    tells whether it is the head that was meant. ``key`` is the pipeline's door key, in hex.
    """

    socket: str = ""
    host: str = ""
    port: int = 0
    fingerprint: str = ""
    key: str = field(default="", repr=False)

    @property
    def is_remote(self) -> bool:
        """Whether it is reached over TCP."""
        return not self.socket

    def __str__(self) -> str:
        if self.socket:
            return self.socket
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data; the key is among them."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Endpoint:
        """Return the door that plain data describe. Raises TypeError for anything else."""
        return Endpoint(**data)
