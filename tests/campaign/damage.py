"""Damage to a repository between two runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from campaign.case import Case
from campaign.command import Command
from campaign.fault import Fault, Need

__all__ = ["Damage", "cut_in_half", "delete", "empty"]


def delete(path: Path) -> None:
    """Delete a file."""
    path.unlink()


def empty(path: Path) -> None:
    """Leave nothing in a file."""
    os.truncate(path, 0)


def cut_in_half(path: Path) -> None:
    """Leave half of what is in a file."""
    os.truncate(path, path.stat().st_size // 2)


@dataclass(frozen=True)
class Damage(Fault):
    """Some files of a finished run are damaged; nothing disturbs a command."""

    act: Callable[[Path], None]

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return {Need.RUN, Need.REGISTRY}

    def prepare(self, case: Case) -> None:
        """Put the damaged repository in place."""
        shutil.rmtree(case.root)
        shutil.copytree(case.finished, case.root)
        files = sorted(path for path in (case.root / "u/out/run").rglob("*") if path.is_file())
        for path in case.random.sample(files, case.random.randint(1, min(5, len(files)))):
            self.act(path)

    def struck(self, case: Case) -> bool:
        """Return that it always does."""
        return True

    def start(self, case: Case) -> Command:
        """Extend the run."""
        return case.start([*case.plan.disturbed, "--extend-run"])
