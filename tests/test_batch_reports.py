"""What `pipetask report` says of a run on a batch system: before, in the middle, at the end, and registered or not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from forked import run_forked
from pipetask.batch.condor.layout import Layout
from pipetask.batch.node import run_node
from pipetask.batch.outcomes import AttemptWriter
from pipetask.batch.run_directory import RunDirectory
from pipetask.outcome import QuantumOutcome, Status
from test_condor_status import ENDED, STARTED, SUBMITTED

from conftest import Finished, Repository  # isort: skip

pytestmark = pytest.mark.slow


class Run:
    """A run of two nodes, whose logs a test writes."""

    def __init__(self, repository: Repository, path: Path):
        self.path = path
        words = ("--mode", "condor", "--no-submit", "--run-dir", str(path), "--bundle-by", "exposure")
        written = run_forked(*repository.arguments(*words))
        assert written.code == 0, written.err
        self.directory = RunDirectory(path)
        with self.directory.index() as index:
            self.nodes = list(index.nodes())

    def dagman(self, *events: str, code: int = 0) -> None:
        with Layout(self.path).dagman_log.open("a") as log:
            log.writelines(event.format(job=1, node="-", code=code) for event in events)

    def node(self, number: int, *events: str) -> None:
        with Layout(self.path).node_log.open("a") as log:
            for event in events:
                log.write(event.format(job=number + 2, node=self.nodes[number].name, code=0))

    def report(self) -> Finished:
        return run_forked("report", str(self.path))


@pytest.fixture
def run(repository: Repository, tmp_path: Path) -> Run:
    return Run(repository, tmp_path / "run")


def verdict(finished: Finished) -> str:
    return finished.err.splitlines()[-1].partition(" in ")[0]


def test_a_run_that_goes_on_has_not_failed(run: Run) -> None:
    before = run.report()
    assert (before.code, verdict(before)) == (0, "written: 10 written")
    run.dagman(SUBMITTED, STARTED)
    run.node(0, SUBMITTED, STARTED)
    # A job that was evicted, and will begin again.
    writer = AttemptWriter(run.directory.outcomes, 0, "host", None)
    first, second, *_ = run.nodes[0].quanta
    writer.outcome(QuantumOutcome(first.id, Status.SUCCEEDED))
    writer.outcome(QuantumOutcome(second.id, Status.CANCELLED))
    writer.end(143)
    middle = run.report()
    assert (middle.code, verdict(middle)) == (0, "running: 1 succeeded, 9 submitted")
    writer = AttemptWriter(run.directory.outcomes, 0, "host", None)
    writer.outcome(QuantumOutcome(second.id, Status.FAILED))
    failed = run.report()
    assert failed.code == 1
    assert verdict(failed).startswith("running: 1 succeeded, ")


def test_the_verdict_counts_registration(
    run: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in run.nodes:
        assert run_node(run.directory, node.name) == 0
        run.node(node.number, SUBMITTED, STARTED, ENDED)
    run.dagman(SUBMITTED, STARTED, ENDED, code=1)
    lost = run.report()
    assert (lost.code, verdict(lost)) == (1, "failed: 10 succeeded")
    assert "What is done has not been registered: the final job has not run" in lost.err
    database = str(repository.root / "gen3.sqlite3")
    with closing(sqlite3.connect(database)) as registry:
        registry.execute(
            "CREATE TRIGGER no BEFORE INSERT ON dataset BEGIN SELECT RAISE(ABORT, 'no more room'); END"
        )
    with monkeypatch.context() as when:  # the process would die as soon as there is a summary
        when.setattr(Path, "replace", lambda self, target: os._exit(42))
        final = run_forked("run-node", str(run.path), "final")
    assert final.code == 75, final.err
    refused = run.report()
    assert refused.code == 1
    assert "What is done has not been registered: Outputs of 10 quanta could not be registered" in refused.err
    assert f"register them: pipetask run-node {run.path} final" in refused.err
    status = run_forked("status", str(run.path))
    assert status.code == 1
    assert "What is done has not been registered: " in status.out
    with closing(sqlite3.connect(database)) as registry:
        registry.execute("DROP TRIGGER no")
    final = run_forked("run-node", str(run.path), "final")
    assert final.code == 0, final.err
    registered = run.report()
    assert (registered.code, verdict(registered)) == (0, "succeeded: 10 succeeded")
    assert not run.directory.unregistered.exists()
    assert run_forked("status", str(run.path)).code == 0
