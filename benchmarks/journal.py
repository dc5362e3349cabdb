"""What the journal costs a run, and what it costs to watch a large one."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from pipetask.journal.facts import RunBegin
from pipetask.journal.outcome_record import to_record
from pipetask.journal.records import FIRST_LINE, Started, packed
from pipetask.monitor.display import run_display
from pipetask.monitor.local import LocalWatch
from pipetask.outcome import QuantumOutcome, Status, Usage
from pipetask.testing import MockPipeline

from .commands import execution_part
from .harness import Figure, fresh_copy, median, scratch

__all__ = ["journal", "watch_82k"]

LABELS = {"isr": 41_000, "characterize": 40_000, "gather": 1_000}
RATE = 100
"""Quanta that end in a second while the run is watched."""

INTERVAL = 2.0
"""Seconds between two looks: the default of ``pipetask watch``."""


def journal(repeat: int) -> Iterator[Figure]:
    """1,050 small quanta with a journal and without, in turn.

    Runs on one machine differ by ten per cent, of which two are to be seen: it takes many of them.
    """
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=50, detectors=10).make(template)
        seconds: dict[str, list[float]] = {"--journal": [], "--no-journal": []}
        for _ in range(max(15, repeat)):
            for option, values in seconds.items():
                more = [str(folder / "journal")] if option == "--journal" else []
                values.append(execution_part(fresh_copy(template), "-j", "2", option, *more))
        with_it, without = (median(values) for values in seconds.values())
        ratio = with_it / without
        name = "1,050 small quanta, -j 2, with a journal"
        yield Figure(name, with_it, without, "--no-journal", "s", ratio, 1.02, at_least=False)


def watch_82k(repeat: int) -> Iterator[Figure]:
    """82,000 quanta, of which half have ended: processor time of a second of watching."""
    with scratch() as folder:
        path = folder / "run.journal"
        _begin(path)
        ids = iter(range(sum(LABELS.values())))
        _append(path, [next(ids) for _ in range(sum(LABELS.values()) // 2)])
        watch = LocalWatch(path)
        first = _seconds_of_look(watch)
        values = []
        for _ in range(10 * repeat):
            _append(path, [next(ids) for _ in range(int(RATE * INTERVAL))])
            values.append(_seconds_of_look(watch))
        share = 100 * median(values) / INTERVAL
        yield Figure(
            "`watch` on a run of 82,000 quanta, processor time",
            share,
            None,
            f"a first look takes {first:.2f} s",
            "% of a core",
            share,
            3,
            at_least=False,
        )


def _seconds_of_look(watch: LocalWatch) -> float:
    begin = time.process_time()
    Console(file=io.StringIO(), width=120).print(run_display(watch.look()))
    return time.process_time() - begin


def _begin(path: Path) -> None:
    begin = RunBegin.here(time.time(), labels=LABELS, dimensions=[["exposure", "detector"]] * len(LABELS))
    started = [Started(-1 - number, 1, time.time(), "host", os.getpid()) for number in range(64)]
    records = [begin.to_record(), *(each.to_record() | _names(0) for each in started)]
    path.write_bytes(FIRST_LINE + b"".join(map(packed, records)))


def _append(path: Path, ids: list[int]) -> None:
    now = time.time()
    outcomes = (
        QuantumOutcome(id, Status.SUCCEEDED, now - 3, now, "host", 7, Usage(3.0, 2.5, 10**9, 10**6, 10**6))
        for id in ids
    )
    with path.open("ab") as file:
        file.write(b"".join(packed(to_record(each) | _names(each.id)) for each in outcomes))


def _names(id: int) -> dict[str, object]:
    return {"label": id % len(LABELS), "data": [id // 100, id % 100], "quantum": id.to_bytes(16, "big")}
