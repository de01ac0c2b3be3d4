"""What real clients sent to a challenge of bytes 0..39, with the key b"password"."""

from __future__ import annotations

from dataclasses import dataclass

KEY = b"password"
RANDOM = bytes(range(40))


@dataclass(frozen=True)
class Recorded:
    """A client's three frames, and what answers the second."""

    response: bytes
    challenge: bytes
    answer: bytes
    welcome: bytes = b"#WELCOME#"


_x = bytes.fromhex

HANDSHAKES = {
    "3.10": Recorded(
        _x("3c51d31eef8efa28b498f9d62b59b583"),
        _x("234348414c4c454e474523ba3a553292760fdffcf2aed13792f3376de52783"),
        _x("f4cce03a947df85dbe373ade2e3a9267"),
    ),
    "3.11": Recorded(
        _x("3c51d31eef8efa28b498f9d62b59b583"),
        _x("234348414c4c454e474523d4c0cb7d9eccfd37c4dc0f857a25cc67787aa5a9"),
        _x("5f0965663bdc6b4dee87cc3079ca504e"),
    ),
    "3.12": Recorded(
        _x("7b7368613235367dc78bca77d832c64a2d71ffa962fb0505b5abc895a6cb7d0b9fa73ce309ad8d30"),
        _x(
            "234348414c4c454e4745237b7368613235367d76b297c1549fe8588ca8b75fdcedcff76e65ca87c2c13a"
            "c5f484be85cd33dae86398cbfdaa6a410f"
        ),
        _x("7b7368613235367d1b3af846f0a2b1129fb2da5bd18224c791482ca0fdbe0e5aeff8cd2a94030c93"),
    ),
    "3.13": Recorded(
        _x("7b7368613235367dc78bca77d832c64a2d71ffa962fb0505b5abc895a6cb7d0b9fa73ce309ad8d30"),
        _x(
            "234348414c4c454e4745237b7368613235367d65a56ae4c748205ab21d61ce7f7aab2aec65049efc0c00"
            "daac9963c83bf1607c2290fafd03a3bb99"
        ),
        _x("7b7368613235367d8a0de84863b7e8a4c30de1a9550c2baecd8cc1360519a40350ede8b52127f4d1"),
    ),
}
