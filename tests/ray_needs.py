"""Run a graph on a cluster of Ray, some quanta of which need a GPU; each writes down which it sees.

A program of its own: a process that has started a cluster cannot be told the address of one.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import find_engine
from pipetask.executors.resources import Resources
from pipetask.testing import CallSpec, enumerated
from toy_work import NotesDevices


def main(address: str, folder: Path) -> None:
    """Run it; print how many quanta have ended how."""
    graph = enumerated({"a": 6, "b": 6})
    resources = Resources({"a": {"cpus": 1}, "b": {"cpus": 1, "gpus": 1}}, {})
    context = ExecutionContext(graph, CallSpec(NotesDevices(folder)), resources=resources)
    model = FuturesExecutor(find_engine(f"ray:{address}", 1))
    model.check(context)
    outcomes = Counter(outcome.status.name for outcome in model.execute(graph, context))
    context.stop.close()
    model.settle()
    print(dict(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
