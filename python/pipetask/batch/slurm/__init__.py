"""Quantum graphs as arrays of Slurm.

::

                                   ┌──────────── run directory ────────────┐
    stream ─► bundling ─► nodes ─► │ slurm/round-001/   a script an array    │ ─► submission ─► Slurm ─► jobs
                          │        │ slurm/slurm.yaml   settings             │       │                    │
        configuration ────┴──────► │ slurm/journal.jsonl                     │ ◄─────┘                    │
                                   │ outcomes/, slurm/logs/                  │ ◄──────────────────────────┘
                                   └────────────────────────────────────────┘       the last job: another round,
                             outcomes, queue ─► watch      control: cancel, restart            or registration

`system` is all that `pipetask.batch` knows of this.  `arrays` makes an array of the nodes of a kind, level and column
(`columns`); `planning` chooses those of a `round`, under the `limits` of the site; `job_script` has what an element
runs, and the options of its array.  `submission` hands a round over, once, whatever interrupts it: held, in order, with
a line in the `journal` before and after each request, and released in one call.  `last_job` ends a round: `control`
submits what has to run again, for which `verdicts` finds the reason in the error files of elements; otherwise it
registers what is done.  `queue` and `client` ask Slurm.

Only whole arrays wait for each other, and only for their end: a job finds out itself which of its quanta can run.
"""

from __future__ import annotations

from .system import SlurmSystem

__all__ = ["SlurmSystem"]
