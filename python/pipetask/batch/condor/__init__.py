"""Quantum graphs as HTCondor DAGs.

::

                                   ┌──────────── run directory ────────────┐
    stream ─► bundling ─► nodes ─► │ dagman/run.dag                         │ ─► submission ─► DAGMan ─► jobs
                          │        │ dagman/*.sub     for each kind of job  │                   │         │
        configuration ────┴──────► │ dagman/condor.yaml                     │ ◄── event logs ───┘         │
                                   │ outcomes/                              │ ◄───────────────────────────┘
                                   └────────────────────────────────────────┘
                                        events ─► watch       control: cancel, restart

`system` is all that `pipetask.batch` knows of this.  `writer` writes the DAG as a stream of lines: `dag_text` makes
them, `submit_description` describes jobs, `memory` has the expressions for when a job is started again and with
how much memory, and `quoting` sees to it that no label or path can break any of this.  `descriptions` writes what is
told about jobs, and again at each restart, after a `rehearsal` with HTCondor itself.  `submission` hands the DAG over,
once; `events` and `submit_errors` read what HTCondor writes about it, for `watch`; `control` ends it and goes on with
it.

The DAG does not say which quanta are in a node: a job gets its node's name and reads the index.
"""

from __future__ import annotations

from .system import CondorSystem

__all__ = ["CondorSystem"]
