"""Quantum graphs as arrays of PBS; see `pipetask.batch.queueing` for what it has in common with other systems.

`system` says how PBS Professional, OpenPBS and Torque are spoken to.  `job_script` has what an element runs, and the
options of its array; `queue` reads listings of the queue, `limits` those of the server, and `said` finds the reason of
a job's end in what PBS has written into its output.

A job cannot put itself back into the queue here, so whatever has to run again does so in another round.
"""

from __future__ import annotations

from .system import PbsSystem

__all__ = ["PbsSystem"]
