"""Slurm keeps the contract of a batch system."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipetask.testing.batch_conformance import BatchConformance
from pipetask.testing.plain_runs import Bench, LocalBench
from slurm.machine import Machine

pytestmark = pytest.mark.slow


class TestSlurmSystem(BatchConformance):
    @pytest.fixture
    def bench(self, machine: Machine, tmp_path: Path, on_path: None) -> Bench:
        return LocalBench("slurm.plain_systems:system", tmp_path)
