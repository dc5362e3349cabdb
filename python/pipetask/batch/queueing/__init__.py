"""Quantum graphs on queueing systems, which have arrays of jobs that wait for others, and no DAG.

::

                                   ┌──────────── run directory ────────────┐
    stream ─► bundling ─► nodes ─► │ slurm/round-001/   a script an array    │ ─► submission ─► queue ─► jobs
                          │        │ slurm/slurm.yaml   settings             │       │                    │
        configuration ────┴──────► │ slurm/journal.jsonl                     │ ◄─────┘                    │
                                   │ outcomes/, slurm/logs/                  │ ◄──────────────────────────┘
                                   └────────────────────────────────────────┘       the last job: another round,
                             outcomes, queue ─► watch      control: cancel, restart            or registration

`system` is all that `pipetask.batch` knows of this, and `dialect` is all that is different on Slurm, PBS and others: a
subclass of `QueueingSystem` says how a job is written, submitted, listed, released and removed.

`arrays` makes an array of the nodes of a kind, level and column (`columns`); `planning` chooses those of a `round`,
under the `limits` of the site; `job_script` has what all scripts have in common.  `submission` hands a round over,
once, whatever interrupts it: held, in order, with a line in the `journal` before and after each request, and then
released.  `last_job` ends a round: `control` submits what has to run again, for which `verdicts` finds the reason;
otherwise it registers what is done.  `queue` and `client` ask the system, and `absence` tells a run that is lost from
one that was not seen once.

Where a site allows few jobs, the only array is one of pilots (`pilot_jobs`; see `pipetask.batch.pilots`):
`pilot_rounds` finds what they have left, and `more_pilots` adds some while the run goes on.

Only whole arrays wait for each other, and only for their end: a job finds out itself which of its quanta can run.
"""

from __future__ import annotations

from .system import QueueingSystem

__all__ = ["QueueingSystem"]
