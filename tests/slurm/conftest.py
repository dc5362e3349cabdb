"""Fixtures: a Slurm to submit to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from needs import check_marked, not_tested
from slurm.machine import Machine, MachineError, MachineOptions, missing_programs

from conftest import environment  # isort: skip

PACKAGES = "slurmctld slurmd slurm-client"

LATE = """#!/bin/sh
[ "$*" = +%s ] || exec {date} "$@"
echo $(($({date} +%s) - 45))
"""
"""A ``date`` that is late, so that jobs take a minute for a quarter of one."""


@pytest.fixture(scope="session")
def session_machine() -> Iterator[Machine]:
    """Yield the Slurm of this test run."""
    with _bring_up(MachineOptions()) as machine:
        yield machine


@pytest.fixture
def machine(session_machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Yield a Slurm that commands of the test find, and end its jobs when the test has ended."""
    monkeypatch.setenv("SLURM_CONF", str(session_machine.configuration))
    yield session_machine
    session_machine.clear()


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands and jobs find what tests import."""
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])


@pytest.fixture
def short_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs that ask for a minute end after 15 seconds."""
    path = tmp_path / "late" / "date"
    path.parent.mkdir()
    path.write_text(LATE.format(date=shutil.which("date")))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def make_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Machine]]:
    """Return a function that brings up a Slurm for one test; its arguments are those of `MachineOptions`."""
    with ExitStack() as stack:

        def make(**options: object) -> Machine:
            machine = stack.enter_context(_bring_up(MachineOptions(**options)))  # type: ignore[arg-type]
            monkeypatch.setenv("SLURM_CONF", str(machine.configuration))
            return machine

        yield make


def _bring_up(options: MachineOptions) -> Machine:
    check_marked("slurm")
    if os.geteuid() != 0:
        not_tested("NOT TESTED ON A REAL SLURM: only root can bring one up")
    if missing := missing_programs():
        not_tested(f"NOT TESTED ON A REAL SLURM: no {', '.join(missing)}: apt-get install {PACKAGES}")
    try:
        return Machine(options)
    except MachineError as error:
        not_tested(f"NOT TESTED ON A REAL SLURM: {error}")
