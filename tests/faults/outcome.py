"""What a scenario measured, and what of it is not as it must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Figure = int | float | str


@dataclass
class Outcome:
    """Figures by name, in the order to print them, and a sentence for each bar that was missed."""

    figures: dict[str, Figure] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def require(self, holds: object, otherwise: str) -> None:
        """Note ``otherwise`` as a fault unless ``holds``."""
        if not holds:
            self.faults.append(otherwise)

    def told(self) -> str:
        """Return the figures as one line."""
        return ", ".join(f"{name} {_shown(value)}" for name, value in self.figures.items())


def totals(by_id: Mapping[str, Any], wanted: Iterable[Any], runs: int) -> Outcome:
    """Compare what came out, by item id, with what should have: the oracle of every scenario.

    ``runs`` is how often the sink's function ran; what it ran again is no fault by itself.
    """
    expected, found = Counter(wanted), Counter(by_id.values())
    lost, doubled = (expected - found).total(), (found - expected).total()
    outcome = Outcome(
        {
            "N": expected.total(),
            "lost": lost,
            "duplicates": doubled,
            "re-runs at the sink": runs - len(by_id),
        }
    )
    outcome.require(not lost, f"{lost} items are lost")
    outcome.require(not doubled, f"{doubled} items came out twice")
    return outcome


def _shown(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
