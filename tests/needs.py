"""What some tests need besides Python: LSST's command, programs of PostgreSQL, a browser, HTCondor, Slurm."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

FIXTURES = {
    "peer": "peer",
    "browser": "browser",
    "postgresql": "postgresql",
    "session_pool": "condor",
    "site_pool": "condor",
    "make_pool": "condor",
    "session_machine": "slurm",
    "make_machine": "slurm",
}
"""Fixtures whose tests get a marker automatically."""

VARIABLE = "PIPETASK_TEST_MARKERS"

TIMEOUT = 1200
"""Seconds for a test with a pool of HTCondor, where minutes pass between an event and its consequence."""


def mark_tests(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use, directly or through others."""
    for item in items:
        for marker in {FIXTURES[name] for name in getattr(item, "fixturenames", ()) if name in FIXTURES}:
            item.add_marker(marker)
            if marker == "condor":
                item.add_marker(pytest.mark.timeout(TIMEOUT))


def note_markers(item: pytest.Item) -> None:
    """Let `check_marked` know the markers of the test that begins."""
    os.environ[VARIABLE] = " ".join(mark.name for mark in item.iter_markers())


def check_marked(marker: str) -> None:
    """Fail a test that needs something and has no marker for it: `make check` would run it."""
    if marker not in os.environ.get(VARIABLE, "").split():
        pytest.fail(f"This test needs @pytest.mark.{marker}, or a fixture that has it (tests/needs.py).")


def not_tested(message: str) -> NoReturn:
    """Skip a test that lacks what it needs; fail it in CI, where everything has to be tested."""
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
