"""A small batch system: it runs nodes as processes of this machine, and loses some of them when asked to.

::

    pipetask run --mode pipetask.testing.local_batch:LocalBatchSystem …

`system` keeps the contract of `pipetask.batch.system`, and is an example of how to.  `driver` is the process that runs
the nodes when the command has ended: it starts those whose turn it is, makes other attempts, and runs the final job.
`pilots` is that process where pilots run the nodes.  `journal` is what command and driver know of each other: a file to
which the driver appends what happens, and one that it locks.

It is for tests, and for authors of batch systems to read.  Runs share nothing: each has a driver of its own.
"""

from __future__ import annotations

from .losses import Loss, LossKind
from .system import LocalBatchSystem, with_pilots, without_shared_files

__all__ = ["LocalBatchSystem", "Loss", "LossKind", "with_pilots", "without_shared_files"]
