"""Pilots as jobs of queueing systems: what is written for them, and what others ask for to go on.  None is needed."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pilot_rounds import agenda_of
from pipetask import (
    BatchExecutor,
    BatchOptions,
    PbsOptions,
    PbsSystem,
    PjmOptions,
    PjmSystem,
    SlurmOptions,
    SlurmSystem,
)
from pipetask.batch.pilots.agenda import Abilities
from pipetask.batch.pilots.look import look_at_pilots
from pipetask.batch.pilots.marks import Terms
from pipetask.batch.pilots.places import last_round
from pipetask.batch.queueing.arrays import Demand, JobArray
from pipetask.batch.queueing.control import Run
from pipetask.batch.queueing.last_job import _wait_for_added
from pipetask.batch.queueing.more_pilots import remove_waiting_pilots
from pipetask.batch.queueing.pilot_rounds import what_pilots_left
from pipetask.batch.queueing.round import read_rounds
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.status import NodeState
from pipetask.errors import UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.testing import CallSpec, enumerated

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

NODES = 4


OPTIONS = ("pilots=2", "memory=1GB", "memory_limit=3GB", "labels.b.memory=2GB", "python=/opt/python")


def write(path: Path, system: SlurmSystem | PbsSystem | PjmSystem) -> Run:
    """Return a run that was written for two pilots: two nodes, and two that need them."""
    graph = enumerated({"a": 2, "b": 2}, [(0, 2), (0, 3), (1, 2), (1, 3)])
    written = BatchOptions(run_dir=str(path), bundle_size=1, submit=False)
    context = ExecutionContext(graph, CallSpec(print))
    list(BatchExecutor(system, written).execute(graph, context))
    context.stop.close()
    return Run.open(RunDirectory(path), type(system)())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write(tmp_path / "run", SlurmSystem(SlurmOptions(slurm=OPTIONS)))


def left_by(run: Run) -> tuple[dict[str, str], dict[str, Demand]]:
    (last,) = read_rounds(run.layout)
    causes, demands = what_pilots_left(run.directory, run.configuration, last)
    return dict(causes), dict(demands)


@pytest.mark.parametrize(
    ("system", "command"),
    [
        (SlurmSystem(SlurmOptions(slurm=OPTIONS)), "-m pipetask.cli run-pilot {path} -j 1"),
        (PbsSystem(PbsOptions(pbs=OPTIONS)), "-m pipetask.cli run-pilot {path} -j 1"),
        (PjmSystem(PjmOptions(pjm=OPTIONS)), "-m pipetask.batch.pjm.node_list {path} pjm/round-001/array-0.nodes"),
    ],
    ids=["slurm", "pbs", "pjm"],
)  # fmt: skip
def test_they_are_one_array_and_ask_for_the_most(
    tmp_path: Path, system: SlurmSystem | PbsSystem | PjmSystem, command: str
) -> None:
    run = write(tmp_path / "run", system)
    (new,) = read_rounds(run.layout)
    pilots, final = new.arrays
    assert (pilots.nodes, pilots.labels, pilots.demand) == (
        ("pilot.0", "pilot.1"),
        ("a", "b"),
        Demand(2048, 60),
    )
    assert (final.needs, new.left_out) == ((0,), 0)
    script = (run.layout.round(1) / "array-0.sh").read_text()
    assert f"exec /opt/python {command.format(path=run.directory.path)}" in script
    assert "scontrol" not in script, "others go on with what it leaves"
    assert len(last_round(run.directory.path).nodes()) == NODES
    assert look_at_pilots(run.directory).laid_over({}) == {"a-0": NodeState.IDLE, "a-1": NodeState.IDLE}


def test_a_job_with_several_pilots_is_removed_only_if_so_many_are_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write(tmp_path / "run", PjmSystem(PjmOptions(pjm=OPTIONS)))
    name = f"{run.record.name}-1"
    commands = {
        "pjstat": f"printf '%s {name} %s\\n' 7_0 QUE 7_1 QUE",
        "pjdel": f'echo "$@" >>"{tmp_path}/deleted"',
    }
    for command, text in commands.items():
        (tmp_path / command).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert [remove_waiting_pilots(run, number) for number in (1, 3)] == [0, 2]
    assert (tmp_path / "deleted").read_text() == "7_0\n"


@pytest.mark.parametrize(("added", "asked"), [(False, 0), (True, 1)])
def test_a_final_job_that_cannot_wait_any_longer_asks_pilots_that_were_added_to_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: bool, asked: int
) -> None:
    run = write(tmp_path / "run", PjmSystem(PjmOptions(pjm=OPTIONS)))
    (tmp_path / "pjstat").write_text(f"#!/bin/sh\nprintf '8_1000 %s RUN\\n' {run.record.name}-1\n")
    (tmp_path / "pjstat").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    agenda_of(run.directory.path, "p")  # it lives
    run.journal.note("released", 1)
    if added:
        run.journal.note("adding", 1, array=1000)
    _wait_for_added(run, 1, time.monotonic())
    assert len(list(last_round(run.directory.path).leave.iterdir())) == asked


def test_what_all_have_left_is_for_as_many_others(run: Run) -> None:
    causes, demands = left_by(run)
    assert (set(causes.values()), len(demands)) == ({"infrastructure"}, NODES), (
        "none of them has done anything"
    )
    agenda = agenda_of(run.directory.path, "p")
    claim = agenda.take()
    assert claim is not None
    agenda.end(claim, 0)
    causes, demands = left_by(run)
    assert (set(causes.values()), len(demands)) == ({"unfinished"}, NODES - 1)
    assert set(demands.values()) == {Demand(2048, 60)}


def test_what_only_waits_for_more_memory_gets_it_up_to_the_limit(run: Run) -> None:
    agenda = agenda_of(run.directory.path, "p", Abilities(memory=2048))
    while (claim := agenda.take()) is not None:
        agenda.give_back(claim, replace(claim.terms, memory=2048))
    directory = run.directory
    assert list(look_at_pilots(directory, over=True).notes(directory)) == [
        f"2 nodes (such as a-0) need a pilot with more memory than 2048 MB: pipetask restart {directory.path}"
    ]
    causes, demands = left_by(run)
    assert (set(causes.values()), set(demands.values())) == ({"memory"}, {Demand(3072, 60)})
    marks = last_round(directory.path).marks
    for node, generation in marks.offers():
        marks.withdraw(node, generation)
        marks.offer(node, generation + 1, Terms(memory=3072))
    (last,) = read_rounds(run.layout)
    had_most = [replace(each, demand=Demand(3072, 60)) for each in last.arrays]
    given_up = what_pilots_left(directory, run.configuration, replace(last, arrays=had_most))
    assert given_up == ({}, {})


def test_settings_of_the_run_need_no_prefix() -> None:
    system = SlurmSystem(SlurmOptions(slurm=("pilots=3", "slurm.max_submit=5")))
    assert (system._configuration.run.pilots, system._configuration.run.max_submit) == (3, 5)
    with pytest.raises(UsageError, match="--slurm pilots=many: pilots cannot be 'many'"):
        SlurmSystem(SlurmOptions(slurm=("pilots=many",)))


def test_pilots_are_not_taken_for_nodes() -> None:
    array = JobArray(0, ("a",), 0, 0, ("pilot.0",), (), Demand(1, 1))
    assert array.runs_pilots
    assert not replace(array, nodes=("pilot-0",)).runs_pilots, "a task may be called so"
    assert not replace(array, nodes=()).runs_pilots
