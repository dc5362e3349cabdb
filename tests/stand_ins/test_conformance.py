"""PBS and PJM keep the contract of a batch system, as far as stand-ins for their commands can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask.testing.batch_conformance import BatchConformance
from pipetask.testing.plain_runs import Bench, LocalBench

pytestmark = pytest.mark.slow


class TestPbsSystem(BatchConformance):
    @pytest.fixture
    def bench(self, stand_in: Callable[..., Path], tmp_path: Path) -> Bench:
        stand_in("pbs")
        return LocalBench("stand_ins.plain_systems:pbs", tmp_path, interval=1)


class TestPjmSystem(BatchConformance):
    @pytest.fixture
    def bench(self, stand_in: Callable[..., Path], tmp_path: Path) -> Bench:
        stand_in("pjm")
        return LocalBench("stand_ins.plain_systems:pjm", tmp_path, interval=1)
