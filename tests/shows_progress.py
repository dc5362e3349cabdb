"""Shows the progress of a large run as the command does, for as long as standard input is open."""

from __future__ import annotations

import os
import sys
import time

from pipetask.cli.execution import _progress_for
from pipetask.executors.activity import Activity, RunningQuantum
from pipetask.executors.stop import StopRequest
from pipetask.observe.summary import OutcomeCollector
from pipetask.options.execution import ExecutorOptions
from pipetask.options.logs import LogOptions
from pipetask.outcome import QuantumError, QuantumOutcome, Status
from pipetask.testing import enumerated

TOTALS = {"isr": 1284, "calibrate_visit_and_more": 12840, "warp": 2345, "assemble": 1500}


def main() -> None:
    graph, activity = enumerated(TOTALS), Activity()
    quanta = [quantum.id for quantum in graph]
    started = time.time() - 725
    running = [
        RunningQuantum(id, started + number, os.getpid()) for number, id in enumerate(quanta[-1500:-1400])
    ]
    activity.report_with(lambda: running)
    progress = _progress_for(ExecutorOptions(), LogOptions())
    assert progress is not None
    progress.begin(graph, TOTALS, activity)
    error = QuantumError("ValueError", "bad", "")
    seen = dict.fromkeys(TOTALS, 0)
    for id in quanta:
        label = graph.label(id)
        seen[label] += 1
        if label == "assemble":
            progress.note(QuantumOutcome(id, Status.BLOCKED, blocked_by=quanta[0]))
        elif label == "isr" or seen[label] <= 6:
            progress.note(QuantumOutcome(id, Status.SUCCEEDED, 1.0, 2.0))
        elif seen[label] <= 1206:
            progress.note(QuantumOutcome(id, Status.FAILED, 1.0, 2.0, error=error))
    sys.stdin.readline()
    progress.end(OutcomeCollector(graph, None).summary(StopRequest()))


if __name__ == "__main__":
    main()
