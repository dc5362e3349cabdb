"""What tasks leave behind in their process does not reach the quanta after them."""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leavers import PUT_BACK, STAYS, Leavers
from pipetask.executors.base import ExecutionContext, QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.outcome import Status
from pipetask.testing import CallSpec, MockPipeline, enumerated
from pipetask.testing.conformance import execute

from conftest import Repository, environment, run_pipetask  # isort: skip
from test_batch_runs import run_alone, write_run  # isort: skip


def run(
    model: QuantumExecutor, folder: Path, names: tuple[str, ...], *, in_order: bool
) -> list[dict[str, Any]]:
    """Run pairs of a quantum that leaves something behind and one that looks; return what the latter found."""
    n = len(names)
    edges = [(i, n + i) for i in range(n)]
    if in_order:
        edges += [(n + i, i + 1) for i in range(n - 1)]
    outcomes = execute(model, enumerated({"guilty": n, "innocent": n}, edges), Leavers(folder, names))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}, outcomes
    return findings(folder, n)


def findings(folder: Path, n: int) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{id}.json").read_text()) for id in range(1, 2 * n, 2)]


def check(names: tuple[str, ...], found: list[dict[str, Any]]) -> None:
    for name, each in zip(names, found, strict=True):
        assert each["found"] == found[0]["found"], f"after {name}"
        assert each["process"]["random"] != random.Random(1).random()
    assert len({each["process"]["random"] for each in found}) == len(found)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 1, 2])
def test_what_can_be_put_back_is(processes: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = MultiprocessExecutor(processes) if processes else InProcessExecutor()
    names = tuple(leaver.__name__ for leaver in PUT_BACK)
    caplog.set_level(logging.WARNING)
    found = run(model, tmp_path, names, in_order=processes < 2)
    check(names, found)
    assert len({each["process"]["pid"] for each in found}) <= max(1, processes), "no worker was replaced"
    (line,) = [record.message for record in caplog.records if "leaves behind" in record.message]
    assert line.startswith("Task guilty leaves behind, first in guilty (number=")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_is_replaced_where_something_stays(
    processes: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leavers = [leaver.__name__ for leaver in STAYS if leaver.__name__ != "hard_limits" or os.getuid() != 0]
    names = ("nothing", *leavers, *leavers)
    found = run(MultiprocessExecutor(processes), tmp_path, names, in_order=True)
    check(names, found)
    assert len({each["process"]["pid"] for each in found}) >= len(names) - 1
    (line,) = [record.message for record in caplog.records if "leaves behind" in record.message]
    assert "thread 'idler' (cannot be put back); its worker is replaced" in line


def test_what_stays_in_this_process_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(InProcessExecutor(), tmp_path, ("nothing", "a_thread", "a_thread"), in_order=True)
    (line,) = [record.message for record in caplog.records if "leaves behind" in record.message]
    assert "thread 'idler' (cannot be put back); it stays in this process" in line


def test_threads_of_the_caller_are_not_blamed_on_tasks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The registrar's, which starts when the first outputs come, is one."""
    graph = enumerated({"innocent": 3})
    context = ExecutionContext(graph, CallSpec(abs))
    over, threads = threading.Event(), []
    for _ in InProcessExecutor().execute(graph, context):
        threads.append(threading.Thread(target=over.wait))
        threads[-1].start()
    over.set()
    context.stop.close()
    assert len(threads) == 3
    assert not [record.message for record in caplog.records if "leaves behind" in record.message]


WHO_CHANGES_THE_LOCALE = """
import locale, sys, threading
from pipetask.cli import main
real, names = locale.setlocale, set()
def setlocale(*words):
    if len(words) > 1 and words[1] is not None:
        names.add(threading.current_thread().name)
    return real(*words)
locale.setlocale = setlocale
try:
    main(sys.argv[1:])
finally:
    print(*names)
"""


def test_what_registers_changes_no_locale_while_quanta_run_here(
    make_repository: Callable[..., Repository],
) -> None:
    """Tasks would be blamed for it."""
    repository = make_repository(MockPipeline())
    assert run_pipetask(*repository.arguments("--init-only")).code == 0
    command = [sys.executable, "-c", WHO_CHANGES_THE_LOCALE, *repository.arguments("--extend-run")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.split() == ["MainThread"]


def test_a_process_of_the_callers_keeps_its_random_numbers(tmp_path: Path) -> None:
    random.seed(5)
    run(InProcessExecutor(), tmp_path, ("seeds",), in_order=True)
    assert random.random() == random.Random(5).random()


def test_a_job_puts_back_what_can_be(tmp_path: Path) -> None:
    names = tuple(leaver.__name__ for leaver in PUT_BACK)
    graph = enumerated({"mixed": 2 * len(names)})
    directory = write_run(tmp_path / "run", graph, CallSpec(Leavers(tmp_path, names)), bundle_size=100)
    done = run_alone(directory, "0")
    assert done.returncode == 0, done.stderr
    check(names, findings(tmp_path, len(names)))
    assert done.stderr.count("Task mixed leaves behind, first in mixed (number=2): a timer (put back)") == 1
