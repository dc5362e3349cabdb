"""HTCondor keeps the contract of a batch system."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from condor.plain_runs import RELEASE_SLOTS
from condor.pool import Pool
from pipetask import CondorOptions, CondorSystem
from pipetask.testing.batch_conformance import BatchConformance
from pipetask.testing.plain_runs import Bench


def system(*more: str) -> CondorSystem:
    return CondorSystem(CondorOptions(condor=(RELEASE_SLOTS, "error_retries=0", "release_delay=0", *more)))


def unshared_system() -> CondorSystem:
    return system("file_system=transfer")


class PoolBench(Bench):
    """Runs commands where the pool is, as its user."""

    def __init__(self, pool: Pool, folder: Path):
        module = "condor.test_conformance"
        super().__init__(f"{module}:system", folder, 120, f"{module}:unshared_system")
        self._pool = pool

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = self._pool.run(*command, cwd=self.folder)
        return subprocess.CompletedProcess(command, done.code, done.out, done.err)


class TestCondorSystem(BatchConformance):
    @pytest.fixture
    def bench(self, pool: Pool, request: pytest.FixtureRequest) -> Bench:
        return PoolBench(pool, pool.new_folder(f"conformance-{request.node.name}"))
