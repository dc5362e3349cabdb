"""Run quanta on an engine that other people run already: Dask, Parsl, MPI, or any executor.

::

    Dispatch ── Order: tickets ──► engine's worker: run_bundle ── tickets ──► warm worker process
        ▲                               │         ▲                                │
        └──────── Answer: outcomes ─────┘         └─────────── outcomes ───────────┘
                                        │
    lost? what is recorded ◄── shared folder: outcomes of bundles on their way; "stop"

An engine only has to bring a bundle to a worker, and an answer back.  What it does not have is on our side of it: a
crash costs one quantum and a timeout kills all that a quantum has started, as the worker of the engine drives a process
like one of the pool's; finished work survives the loss of a worker, as outcomes are recorded at once; what was lost is
run again, alone and a limited number of times.
"""

from .engine import Engine
from .executor import FuturesExecutor
from .executor_engine import ExecutorEngine

__all__ = ["Engine", "ExecutorEngine", "FuturesExecutor"]
