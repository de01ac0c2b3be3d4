"""What to say when no head answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.cluster.interfaces import LOCAL
from pipeline_runner.errors import NoHead, Refused

if TYPE_CHECKING:
    from pipeline_runner.cluster.interfaces import Interface, Skipped

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Silence:
    """A search that has found nothing so far.

    ``forged`` are addresses that sent packets with our tag and a wrong signature, ``naks`` what
    heads said instead of an answer.
    """

    waited_s: float
    tried: tuple[Interface, ...]
    skipped: tuple[Skipped, ...] = ()
    forged: tuple[str, ...] = ()
    naks: tuple[str, ...] = ()

    def error(self) -> NoHead:
        """Return it as what ends a command: where was asked, the usual causes, another way."""
        asked = [f"{each.name} {each.address}" for each in self.tried if not each.is_loopback]
        where = _list(asked) if asked else "this machine, and it has no network to ask on"
        left_out = _list([f"{each.name}: {each.why}" for each in self.skipped], "; ")
        text = f"no head answered in {self.waited_s:.0f} s on {where}"
        if left_out:
            text += f" (skipped {left_out})"
        for nak in self.naks[:_MOST_NAMED]:
            text += f"\na head said: {nak}"
        if self.forged:
            text += (
                f"\npackets with this key's tag and a wrong signature came from "
                f"{_list(self.forged)}: damaged, or somebody forges them"
            )
        local = any(each.why == LOCAL for each in self.skipped)
        return NoHead(
            text,
            hint=(
                "without RUNNER_LOCAL in the environment it asks on the network, too\n"
                * local
                + "usual causes: no `runner up` there, another subnet, Wi-Fi isolation, a firewall "
                "(UDP 50000), WSL2, another key\n"
                "try: runner join HOST:50000   (one TCP port is enough; `runner up` prints it)"
            ),
        )


def gap(
    name: str, theirs: tuple[int, int], version: str, ours: tuple[int, int], our_version: str
) -> Refused | None:
    """Return what keeps two versions apart, None if they share a protocol.

    ``theirs`` and ``ours`` are the lowest and the highest protocol each side speaks.
    """
    if theirs[0] <= ours[1] and ours[0] <= theirs[1]:
        return None
    cure = (
        f"upgrade this machine: pip install clusterer=={version}"
        if theirs[0] > ours[1]
        else f"upgrade the head: pip install clusterer=={our_version}"
    )
    return Refused(
        f"{name} speaks protocol {_range(theirs)} (version {version}), "
        f"this machine {_range(ours)} (version {our_version})",
        hint=cure,
    )


def _range(protocol: tuple[int, int]) -> str:
    low, high = protocol
    return f"{low}" if low == high else f"{low} to {high}"


def _list(words: list[str] | tuple[str, ...], comma: str = ", ") -> str:
    more = len(words) - _MOST_NAMED
    return comma.join(words[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
