"""The samples of ``doc/guide/watching.md``: made by the code that shows runs, with a time that stands still.

After a change of a display, run ``python tests/watch_samples.py`` and ``python doc/_extensions/embed.py``.
"""

from __future__ import annotations

import io
import os
import time
import uuid
from collections import Counter
from pathlib import Path

from rich.console import Console, RenderableType

from pipetask.batch.status import NodeState, RunPhase, RunStatus
from pipetask.monitor.display import list_table, run_display
from pipetask.monitor.listing import ListedRun
from pipetask.monitor.view import FailedQuantum, RunningNow, RunView

EXAMPLES = Path(__file__).parent.parent / "doc" / "examples"
START = 1_795_672_800.0
NOW = START + 754


def samples() -> dict[str, str]:
    """Return the samples by the names of their files."""
    before, os.environ["TZ"] = os.environ.get("TZ"), "UTC"
    time.tzset()
    try:
        return {
            "watch.txt": f"$ pipetask watch u/me/out\n{_text(run_display(_view()))}",
            "watch_list.txt": f"$ pipetask watch\n{_text(list_table(_runs()))}",
            "watch_died.txt": f"$ pipetask watch u/me/out\n{_text(run_display(_died()))}",
        }
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def _text(what: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=False).print(what)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _view() -> RunView:
    counts = {
        "isr": Counter(
            {NodeState.DONE: 188, NodeState.RUNNING: 2, NodeState.WAITING: 9, NodeState.FAILED: 1}
        ),
        "calibrate": Counter(
            {NodeState.DONE: 171, NodeState.RUNNING: 2, NodeState.WAITING: 26, NodeState.BLOCKED: 1}
        ),
        "coadd": Counter({NodeState.WAITING: 24, NodeState.BLOCKED: 1}),
    }
    running = [
        _running("calibrate", 35, 4, 141.0, 12.4, 5_100_000_000, 4103),
        _running("isr", 47, 1, 3.2, 4.01, 820_000_000, 4101),
        _running("isr", 47, 2, 1.4, 4.01, 790_000_000, 4102),
        _running("calibrate", 46, 3, 6.3, 12.4, 1_300_000_000, 4104),
    ]
    failed = FailedQuantum(
        "isr",
        {"exposure": 12, "detector": 3},
        uuid.UUID(int=1),
        "failed",
        "ValueError: bias has 4096 rows, and the exposure 4004",
        NOW - 400,
    )
    status = RunStatus(RunPhase.RUNNING, counts, Counter(), rate=0.478, seconds_left=134.0)
    return RunView(
        "u/me/out/20261126T060000Z",
        "",
        status,
        start=START,
        host="sdf01",
        pid=4090,
        running=running,
        failures=[failed],
        n_failures=1,
        now=NOW,
    )


def _running(
    label: str, exposure: int, detector: int, seconds: float, usual: float, memory: int, pid: int
) -> RunningNow:
    data_id = {"exposure": exposure, "detector": detector}
    start = NOW - seconds
    return RunningNow(label, data_id, uuid.UUID(int=pid), start, "sdf01", pid, 1, memory, usual)


def _died() -> RunView:
    counts = {
        "isr": Counter({NodeState.DONE: 200}),
        "calibrate": Counter({NodeState.DONE: 171, NodeState.WAITING: 29}),
    }
    notes = [
        "ended without a word at 2026-11-26 06:12:34",
        "resume with: pipetask run -b REPO -g graph.qg -o u/me/out -j 4 --extend-run",
    ]
    status = RunStatus(RunPhase.DIED, counts, Counter(), rate=0.478, notes=notes)
    return RunView("u/me/out/20261126T060000Z", "", status, start=START, now=NOW)


def _runs() -> list[ListedRun]:
    return [
        ListedRun("", "u/me/out/20261126T060000Z", RunPhase.DIED, START, NOW, 400, 371, 0),
        ListedRun("", "u/me/test", RunPhase.SUCCEEDED, START - 7200, START - 7000, 42, 42, 0),
        ListedRun("", "u/me/first", RunPhase.FAILED, START - 9000, START - 8100, 400, 387, 1),
    ]


if __name__ == "__main__":
    for name, text in samples().items():
        (EXAMPLES / name).write_text(text)
