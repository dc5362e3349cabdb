"""Quantum graphs as arrays of Slurm; see `pipetask.batch.queueing` for what it has in common with other systems.

`system` says how Slurm is spoken to.  `job_script` has what an element runs, and the options of its array; `in_place`
lets an element put itself back into the queue.  `queue`, `limits`, `accounting` and `client` ask Slurm, `reasons`
says what to do about a job that will not start, and `said` finds the reason of a job's end in its error file.
"""

from __future__ import annotations

from .system import SlurmSystem

__all__ = ["SlurmSystem"]
