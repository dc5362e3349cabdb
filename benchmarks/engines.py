"""The same quanta on engines, side by side with our own pool."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pipetask.testing import MockPipeline

from .commands import execution_part
from .harness import OURS, Figure, fresh_copy, median, scratch

__all__ = ["engines"]

LIMITS = {"threads": 1.15, "loky": 1.2, "dask": 1.3, "parsl": 1.5, "mpi": 1.5}
"""How much longer each may take than the pool."""


def engines(repeat: int) -> Iterator[Figure]:
    """1,050 small quanta on two workers of each engine, from the first quantum to the end of the run."""
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=50, detectors=10).make(template)
        seconds: dict[str, list[float]] = {name: [] for name in ("pool", *LIMITS)}
        for _ in range(max(7, repeat)):  # runs on one machine differ by ten per cent
            for name, values in seconds.items():
                more = () if name == "pool" else ("--mode", "futures", "--engine", name)
                command = _by_mpi() if name == "mpi" else OURS
                values.append(execution_part(fresh_copy(template), "-j", "2", *more, command=command))
        pool = median(seconds["pool"])
        for name, limit in LIMITS.items():
            value = median(seconds[name])
            title = f"1,050 small quanta on {name}, 2 workers, execution part"
            yield Figure(title, value, pool, "our own -j 2", "s", value / pool, limit, at_least=False)


def _by_mpi() -> list[str]:
    mpiexec = str(Path(sys.executable).with_name("mpiexec"))
    return [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", "-m", "pipetask.cli"]
