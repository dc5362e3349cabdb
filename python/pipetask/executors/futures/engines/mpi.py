"""MPI, through mpi4py."""

from __future__ import annotations

from concurrent.futures import Executor

from ....errors import UsageError
from .local import LocalEngine

__all__ = ["Mpi"]


class Mpi(LocalEngine):
    """The pool of ``mpiexec -n N+1 python -m mpi4py.futures -m pipetask.cli …``: rank 0 runs the command."""

    def __init__(self, workers: int):
        from mpi4py import MPI

        size = MPI.COMM_WORLD.Get_size()
        if size < 2:
            raise UsageError(
                "there is one process only: use mpiexec -n N python -m mpi4py.futures -m pipetask.cli run …, of "
                "which one process gives work to the others."
            )
        super().__init__(size - 1)

    def start(self) -> Executor:
        """Start the executor."""
        from mpi4py.futures import MPIPoolExecutor

        return MPIPoolExecutor()

    def renew(self) -> None:
        """Keep the executor: when one of its processes dies, all others do."""
