"""Fixtures: a pool to submit to, and a folder that its jobs see."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from condor.personal_pool import PersonalPool, PoolOptions
from condor.pool import ExistingPool, Pool
from condor.root import PoolError
from needs import check_marked, not_tested

SITE = """
# Two kinds of slots.
MACHINE_RESOURCE_GPUs = CUDA0, CUDA1
SLOT_TYPE_1 = cpus=3, memory=25%, gpus=2
SLOT_TYPE_2 = cpus=1, memory=75%, gpus=0
NUM_SLOTS_TYPE_2 = 1
SLOT_TYPE_2_PARTITIONABLE = True
LICENCE_LIMIT = 1
SINGULARITY = {folder}/stand_in_for_singularity.sh
USER_JOB_WRAPPER = {folder}/memory_limit.sh
SYSTEM_PERIODIC_HOLD = JobStatus == 2 && RequestMemory < HoldBelow
SYSTEM_PERIODIC_HOLD_REASON = "more memory than allowed"
"""


@pytest.fixture(scope="session")
def session_pool() -> Iterator[Pool]:
    """Yield the pool of this test run: the one that answers, else one that is brought up."""
    with _find_pool() as pool:
        yield pool


@pytest.fixture
def pool(session_pool: Pool) -> Iterator[Pool]:
    """Yield the pool, and remove what is in its queue when the test has ended."""
    yield session_pool
    session_pool.remove_jobs()


@pytest.fixture
def work(pool: Pool, request: pytest.FixtureRequest) -> Path:
    """Return a new folder, owned by the pool's user, that the test and its jobs see at the same path."""
    return pool.new_folder(request.node.name)


@pytest.fixture(scope="module")
def site_pool() -> Iterator[Pool]:
    """Yield a pool that has what some sites have: GPUs, licences, containers, slots of two kinds, a wrapper."""
    with _bring_up(
        PoolOptions(memory=16384, configuration=SITE.format(folder=Path(__file__).parent))
    ) as pool:
        yield pool


@pytest.fixture
def make_pool() -> Iterator[Callable[..., PersonalPool]]:
    """Return a function that brings up a pool for one test; its arguments are those of `PoolOptions`."""
    with ExitStack() as stack:

        def make(**options: object) -> PersonalPool:
            return stack.enter_context(_bring_up(PoolOptions(**options)))  # type: ignore[arg-type]

        yield make


def _find_pool() -> Pool:
    # A schedd takes no jobs from root, so a pool that answers root is of no use to it.
    if os.geteuid() != 0 and shutil.which("condor_q") and not subprocess.run(["condor_q"]).returncode:
        return ExistingPool()
    return _bring_up(PoolOptions())


def _bring_up(options: PoolOptions) -> PersonalPool:
    check_marked("condor")
    if os.geteuid() != 0:
        not_tested("NOT TESTED ON A REAL HTCONDOR POOL: no pool answers, and only root can bring one up")
    if not shutil.which("apt-get"):
        not_tested("NOT TESTED ON A REAL HTCONDOR POOL: its packages are Debian's, and this is no Debian")
    try:
        return PersonalPool(options)
    except PoolError as error:
        not_tested("NOT TESTED ON A REAL HTCONDOR POOL: " + str(error))
