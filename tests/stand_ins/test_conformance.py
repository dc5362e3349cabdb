"""PBS and PJM keep the contract of a batch system, as far as stand-ins for their commands can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask.testing.batch_conformance import BatchConformance
from pipetask.testing.plain_runs import Bench, LocalBench

pytestmark = pytest.mark.slow


class TestPbsSystem(BatchConformance):
    # What it has in common with Slurm is tested there, on a real one.
    test_a_repository_ends_up_as_after_a_run_on_this_machine = None
    test_a_restart_of_what_runs_is_no_second_submission = None
    test_a_run_is_followed_to_its_end = None
    test_jobs_that_do_not_see_the_run_directory_bring_outcomes_back = None
    test_what_was_only_written_is_submitted_by_restart = None

    @pytest.fixture
    def bench(self, stand_in: Callable[..., Path], tmp_path: Path) -> Bench:
        stand_in("pbs")
        return LocalBench("stand_ins.plain_systems:pbs", tmp_path, timeout=120)


class TestPjmSystem(BatchConformance):
    # What it has in common with Slurm is tested there, on a real one.
    test_a_repository_ends_up_as_after_a_run_on_this_machine = None
    test_a_restart_of_what_runs_is_no_second_submission = None
    test_a_restart_runs_what_is_missing = None
    test_a_run_is_followed_to_its_end = None
    test_jobs_that_do_not_see_the_run_directory_bring_outcomes_back = None
    test_odd_labels_and_folders_break_nothing = None
    test_what_was_only_written_is_submitted_by_restart = None

    @pytest.fixture
    def bench(self, stand_in: Callable[..., Path], tmp_path: Path) -> Bench:
        stand_in("pjm")
        return LocalBench("stand_ins.plain_systems:pjm", tmp_path, timeout=120)
