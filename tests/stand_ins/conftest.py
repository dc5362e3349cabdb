"""Fixtures: stand-ins for queueing systems that cannot be brought up here."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import TESTS, environment

COMMANDS = {
    "pbs": ("qsub", "qselect", "qstat", "qrls", "qalter", "qdel"),
    "torque": ("qsub", "qselect", "qstat", "qrls", "qalter", "qdel"),
    "pjm": ("pjsub", "pjstat", "pjdel"),
}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Return a function that sets up a stand-in, in whose queue commands of the test submit; it returns its folder.

    What tests end hangs, so jobs have little time between SIGTERM and SIGKILL, unless a test needs it.
    """
    started: list[subprocess.Popen[bytes]] = []

    def set_up(system: str, grace: float = 1.0) -> Path:
        folder = tmp_path / "stand-in"
        (folder / "bin").mkdir(parents=True)
        module = "stand_ins.pjm_commands" if system == "pjm" else "stand_ins.pbs_commands"
        for name in COMMANDS[system]:
            # Without the packages of the environment, which take longer to find than the command takes.
            words = [sys.executable, "-S", "-m", module, name, str(folder)]
            path = folder / "bin" / name
            path.write_text(
                f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(TESTS))} "
                f'{"STAND_IN_TORQUE=1 " if system == "torque" else ""}exec {shlex.join(words)} "$@"\n'
            )
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        words = [sys.executable, "-m", "stand_ins.scheduler", str(folder), system, str(grace)]
        started.append(subprocess.Popen(words, env=environment()))
        return folder

    yield set_up
    for process in started:
        process.terminate()
        process.wait()
