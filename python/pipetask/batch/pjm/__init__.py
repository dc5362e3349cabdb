"""Quantum graphs on PJM, the job manager of Fujitsu; see `pipetask.batch.queueing` for what it shares with others.

Its arrays (bulk jobs) cannot wait for anything, and a step job cannot have arrays in it.  So a round is one step job:
each of its sub-jobs runs all nodes of an array on one or several machines, and PJM runs them one after another, however
they end.  `system` says how PJM is spoken to; `job_script` has what a sub-job runs, and its options; `node_list` runs
the nodes of an array; `queue` reads listings of the queue, and `said` finds the reason of a job's end in its
statistics.

Nothing can be submitted held, so the sub-jobs of a round begin with a wait for a file that says that all are in the
queue.
"""

from __future__ import annotations

from .system import PjmSystem

__all__ = ["PjmSystem"]
