"""What quanta use: measured while they run, and known of those that did not live to the end."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from lsst.pipe.base.quantum_reports import Report
from rich.console import Console

from pipetask.executors.pool import MultiprocessExecutor
from pipetask.observe.measures import measure_columns
from pipetask.observe.report import print_report
from pipetask.outcome import QuantumOutcome, Status, Unit, Usage
from pipetask.runner.meter import Meter, leave_marks, new_marks, read_marks
from pipetask.testing import enumerated
from pipetask.testing.conformance import execute
from toy_work import SPENT_BYTES, SPENT_MEMORY, SPENT_SECONDS, Spender

from conftest import run_pipetask  # isort: skip
from test_observe import summarize  # isort: skip
from test_runs import MakeRepository, bombed  # isort: skip

MEASURES = {field.name for field in fields(Usage)}


def test_a_meter_counts_what_is_used_between_start_and_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / "before").write_bytes(bytes(100_000))
    meter = Meter()
    meter.start(0)
    nothing = meter.read()
    meter.start(1)
    path.write_bytes(bytes(1_000_000))
    path.read_bytes()
    child = "sum(range(10**7)); open('before', 'rb').read()"
    subprocess.run([sys.executable, "-c", child], cwd=tmp_path, check=True)
    food = b"x" * (200 * 2**20)
    used = meter.read()
    del food
    meter.close()
    assert (nothing.bytes_read, nothing.bytes_written) == (0, 0), "not even what measuring takes"
    assert used.bytes_written == 1_000_000
    assert used.bytes_read is not None
    assert used.bytes_read > 1_100_000, "with what the child has read"
    assert used.cpu_seconds is not None
    assert nothing.cpu_seconds is not None
    assert used.cpu_seconds > nothing.cpu_seconds + 0.05, "with what the child has used"
    assert used.peak_memory is not None
    assert nothing.peak_memory is not None
    assert used.peak_memory > nothing.peak_memory + 150 * 2**20
    assert used.wall_seconds is not None


def test_a_peak_is_that_of_one_quantum() -> None:
    meter = Meter()
    meter.start(0)
    food = b"x" * (200 * 2**20)
    large = meter.read().peak_memory
    del food
    meter.start(1)
    small = meter.read().peak_memory
    meter.close()
    assert large is not None
    assert small is not None
    assert small < large - 150 * 2**20


PEAK = """
from pipetask.runner.meter import Meter
meter = Meter()
meter.start(0)
print(meter.read().peak_memory)
"""


def test_the_memory_of_the_process_that_started_this_one_is_not_counted() -> None:
    """To the kernel, a program begins with the peak of the process that it was started from."""
    food = b"x" * (400 * 2**20)
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    del food
    assert 10**6 < int(done.stdout) < 300 * 2**20


def test_where_nothing_can_be_measured_the_rest_is() -> None:
    meter = Meter()
    for descriptor in (meter._io, meter._memory._clear, meter._memory._status):
        assert descriptor is not None
        os.close(descriptor)
    meter.start(0)
    used = meter.read()
    assert (used.bytes_read, used.bytes_written) == (None, None)
    assert used.cpu_seconds is not None
    assert used.peak_memory is not None


def test_marks_tell_of_the_last_quantum_that_began() -> None:
    file = new_marks()
    assert read_marks(file) is None
    code = f"""
from pipetask.runner.meter import Meter, leave_marks
leave_marks({file})
meter = Meter()
meter.start(3)
meter.start(4)
"""
    subprocess.run([sys.executable, "-c", code], pass_fds=[file], check=True)
    marks = read_marks(file)
    os.close(file)
    assert marks is not None
    assert marks.id == 4
    assert marks.cpu_seconds > 0


def test_no_room_for_marks_is_no_reason_to_fail() -> None:
    file = os.open(os.devnull, os.O_RDWR)
    leave_marks(file)
    meter = Meter()
    meter.start(0)
    meter.close()
    assert read_marks(file) is None
    os.close(file)


# Quanta that have not lived to say what they had used.


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
@pytest.mark.parametrize(
    ("end", "status"),
    [("segfault", Status.KILLED), ("exit_at_once", Status.KILLED), ("hang", Status.TIMED_OUT)],
)
def test_usage_is_known_of_a_quantum_that_was_killed(
    tmp_path: Path, end: str, status: Status, start_method: str
) -> None:
    Meter().close()  # the peak of a spawned worker is known only if it is above that of this process, so forget that
    timeout = 8.0 if status is Status.TIMED_OUT else None
    model = MultiprocessExecutor(1, start_method)
    outcomes = execute(model, enumerated({"a": 2}), Spender(tmp_path, end), timeout=timeout)
    assert (tmp_path / "spent").exists()
    outcome = outcomes[1]
    assert outcome.status is status
    usage = outcome.usage
    assert usage is not None
    # The kernel knows the peak of a spawned process only above that of the process which spawned it.
    unknown = {"peak_memory"} if start_method == "spawn" else set()
    assert {name for name in MEASURES if getattr(usage, name) is None} <= unknown
    assert usage.wall_seconds == pytest.approx(outcome.duration, abs=3.0)
    assert SPENT_SECONDS <= usage.cpu_seconds < 8, "not what came before"  # type: ignore[operator]
    if usage.peak_memory is not None:
        assert SPENT_MEMORY <= usage.peak_memory < 2 * SPENT_MEMORY
    assert SPENT_BYTES <= usage.bytes_read < SPENT_BYTES + 500_000  # type: ignore[operator]
    assert SPENT_BYTES <= usage.bytes_written < SPENT_BYTES + 500_000  # type: ignore[operator]


@pytest.mark.slow
def test_the_summary_has_the_usage_of_all_that_began(make_repository: MakeRepository, tmp_path: Path) -> None:
    """And LSST's model still reads it."""
    repository = make_repository(bombed("kill_self", "exposure=0 AND detector=1", tmp_path))
    path = tmp_path / "summary.json"
    done = run_pipetask(*repository.arguments("-j", "2", "--summary", str(path)))
    assert done.code == 1, done.err
    headings = next(line for line in done.err.splitlines() if line.startswith("task"))
    assert "mean time mean CPU peak memory mean read mean written" in " ".join(headings.split())
    content = json.loads(path.read_text())
    Report.model_validate(content)
    names = {"wallSeconds", "cpuSeconds", "peakMemory", "bytesRead", "bytesWritten"}
    for quantum in content["quanta"]:
        assert set(quantum.get("usage", {})) == (set() if quantum["outcome"] == "blocked" else names), quantum
    (killed,) = [quantum for quantum in content["quanta"] if quantum["outcome"] == "killed"]
    assert killed["usage"]["cpuSeconds"] > 0
    assert killed["usage"]["peakMemory"] > 10**7


# What a report makes of it.


def report(outcomes: list[QuantumOutcome], width: int) -> list[str]:
    text = io.StringIO()
    print_report(Console(file=text, width=width), summarize(outcomes), str)
    return text.getvalue().splitlines()


USED = [
    QuantumOutcome(0, Status.SUCCEEDED, usage=Usage(1.0, 0.5, 2 * 2**20, 10, 2048)),
    QuantumOutcome(1, Status.SUCCEEDED, usage=Usage(3.0, None, 5 * 2**20, 20, 4096)),
    QuantumOutcome(2, Status.KILLED, usage=Usage(1.0)),
]


def test_figures_are_means_and_peaks_of_each_task() -> None:
    columns = {column.heading: column.cells for column in measure_columns(summarize(USED))}
    assert columns == {
        "mean time": {"isr": "2 s", "gather": "1 s"},
        "mean CPU": {"isr": "0.5 s"},
        "peak memory": {"isr": "5 MiB"},
        "mean read": {"isr": "15 B"},
        "mean written": {"isr": "3 KiB"},
    }


def test_every_measure_has_a_column_with_its_unit() -> None:
    values = Usage(*[7] * len(MEASURES))
    columns = measure_columns(summarize([QuantumOutcome(0, Status.SUCCEEDED, usage=values)]))
    assert [column.cells["isr"] for column in columns] == [
        field.metadata["unit"].text(7) for field in fields(Usage)
    ]


def test_measures_that_no_quantum_has_get_no_column() -> None:
    line = report([QuantumOutcome(0, Status.SUCCEEDED, usage=Usage(wall_seconds=1.0))], 200)[0]
    assert line.split() == ["task", "succeeded", "mean", "time"]


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (100, "task succeeded killed mean time mean CPU peak memory mean read mean written"),
        (65, "task succeeded killed mean time mean CPU peak memory mean read mean written"),
        (50, "task succeeded killed mean time mean CPU peak memory"),
        (27, "task succeeded killed"),
    ],
)
def test_a_narrow_terminal_gets_the_first_measures(width: int, words: str) -> None:
    lines = report(USED, width)
    before = [line for line in lines[:3] if not line.startswith(("isr", "gather"))]
    assert sorted(" ".join(before).split()) == sorted(words.split())
    assert all(len(line) <= width for line in lines[:4])


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.SECONDS, 0.01234, "0.0123 s"),
        (Unit.SECONDS, 12345.6, "12346 s"),
        (Unit.BYTES, 999, "999 B"),
        (Unit.BYTES, 1000, "0.977 KiB"),
        (Unit.BYTES, 345.4 * 2**20, "345 MiB"),
        (Unit.BYTES, 1570 * 2**20, "1.53 GiB"),
        (Unit.BYTES, 4000 * 2**30, "4000 GiB"),
    ],
)
def test_values_are_short_and_never_in_powers_of_ten(unit: Unit, value: float, text: str) -> None:
    assert unit.text(value) == text
