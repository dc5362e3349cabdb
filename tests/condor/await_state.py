"""Wait for nodes or quanta of a run: ``python -m condor.await_state RUN_DIR WHAT STATE COUNT``, in the pool's world.

``WHAT`` is ``nodes``, or the label of quanta.  One process looks again and again: a new ``pipetask status`` for each
look would keep a processor busy, which the pool needs.
"""

from __future__ import annotations

import sys
import time

from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.status import NodeState
from pipetask.batch.watch import RunWatch

PAUSE = 0.2


def main(run_dir: str, what: str, state: str, count: str) -> None:
    """Return when so many are in the state."""
    watch = RunWatch(RunDirectory(run_dir))
    while True:
        status = watch.look()
        counts = status.nodes if what == "nodes" else status.counts[what]
        if counts[NodeState(state)] >= int(count):
            return
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
