"""A scenario made of tests: pytest runs them, and what they record are its figures.

A test tells a figure of its own with pytest's fixture ``record_property``::

    def test_a_good_join_gets_in_through_a_crowd(record_property) -> None:
        ...
        record_property("joined after s", joined_s)
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.outcome import Figure

ROOT = Path(__file__).parents[2]


@dataclass(eq=False)
class Record:
    """Listens to a run of pytest. Of a figure that several tests record, the largest counts."""

    passed: int = 0
    skipped: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of one phase of a test."""
        if report.failed:
            self.faults.append(f"{report.head_line or report.nodeid}: {_reason(report)}")
        elif report.skipped:
            self.skipped.append(_reason(report))
        elif report.when == "call":
            self.passed += 1
        if report.when == "teardown":  # by then a test has recorded all it will
            for name, value in report.user_properties:
                before = self.figures.get(name)
                self.figures[name] = value if before is None else _worse(before, value)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of a file that cannot be read, or of a test that is not there."""
        if report.failed:
            self.faults.append(f"{report.nodeid}: {report.longreprtext[-300:]}")


def run_tests(*tests: str) -> Callable[[bool], Outcome]:
    """Return what runs ``tests``, node ids as pytest takes them.

    Their failures are the outcome's faults. A test that is skipped (no root, no second
    interpreter) is told as a figure; where all are, so is the scenario.
    """

    def run(_quick: bool) -> Outcome:
        record, said = Record(), io.StringIO()
        options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={ROOT}"]
        with redirect_stdout(said):
            code = pytest.main([*options, *(str(ROOT / test) for test in tests)], [record])
        if record.skipped and not record.passed and not record.faults:
            pytest.skip("; ".join(sorted(set(record.skipped))))
        figures: dict[str, Figure] = {"tests": record.passed, **record.figures}
        if record.skipped:
            figures["not done here"] = len(record.skipped)
        outcome = Outcome(figures, record.faults)
        if code and not record.faults:  # no such test, or a mistake in how it was named
            outcome.faults.append(said.getvalue().strip()[-300:])
        return outcome

    return run


def _worse(one: Figure, other: Figure) -> Figure:
    if isinstance(one, str) or isinstance(other, str):
        return one if one == other else f"{one}; {other}"
    return max(one, other)


def _reason(report: pytest.TestReport) -> str:
    """Return in one line what a test failed by, or was skipped for."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    return " ".join(text.split())[:300]
