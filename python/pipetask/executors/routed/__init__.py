"""Run one graph on several execution models at once, each task label on one of them.

::

    stream of QuantumData                                          outcomes, as they end
          │                                                                 ▲
          ▼                                                                 │ queue
    ┌─────────────┐  its quanta   ┌───────────────────────────────┐         │
    │             │ ────────────► │ thread: pool, with a frontier │ ────────┤
    │ Switchboard │               ├───────────────────────────────┤         │
    │             │ ────────────► │ thread: dask, with a frontier │ ────────┘
    └─────────────┘               └───────────────────────────────┘
          ▲   what has ended elsewhere, and is a prerequisite of theirs │
          └─────────────────────────────────────────────────────────────┘

Each model runs in a thread of its own, and gets the quanta of its labels.  It holds back those whose prerequisites have
not ended, as always.  The **switchboard** (`switchboard`) knows which prerequisites belong to another model, and tells
the model when those have ended, and how (`~pipetask.executors.elsewhere.Elsewhere`).  So a model never waits for
something that it is not told, and no stream ever blocks.

The **executor** (`executor`) passes on outcomes, requests to stop, and what runs.
"""

from __future__ import annotations

from .executor import RoutedExecutor

__all__ = ["RoutedExecutor"]
