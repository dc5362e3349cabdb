"""The end of a run that did not succeed: failures in groups, and the command to go on as the last line."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fault_tasks import BombTask
from forked import run_forked
from pipetask.cli.catalog import COMMANDS
from pipetask.cli.command import command_for
from pipetask.cli.command_line import CommandLine
from pipetask.executors.stop import StopRequest
from pipetask.observe.failures import grouped
from pipetask.observe.summary import OutcomeCollector
from pipetask.outcome import QuantumError, QuantumOutcome, Status
from pipetask.testing import MockPipeline, enumerated

from conftest import Finished, Repository, run_pipetask  # isort: skip

MakeRepository = Callable[..., Repository]


def bombed(folder: Path, bomb: str, where: str) -> MockPipeline:
    config = {"bomb": bomb, "bomb_where": where, "bomb_folder": str(folder), "bomb_once": True}
    return MockPipeline(2, 3, task_classes={"characterize": BombTask}, configs={"characterize": config})


def last_command(done: Finished) -> list[str]:
    """Return the arguments of the command that the last line gives."""
    words = shlex.split(done.err.splitlines()[-1].removeprefix("go on: "))
    assert words[0] == "pipetask"
    return words[1:]


@pytest.mark.slow
def test_equal_failures_are_one_block_and_the_last_line_goes_on(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(bombed(tmp_path, "fail", "exposure >= 0"))
    arguments = repository.arguments("-j", "1")
    done = run_forked(*arguments)
    assert done.code == 1
    assert "characterize: 6 quanta failed" in done.err
    assert done.err.count("ValueError: bomb") == 1
    assert "(instrument='Mock', detector=0, exposure=0)" in done.err
    assert "and 3 more" in done.err
    assert done.err.count("run the first alone: ") == 1
    assert last_command(done) == [*arguments, "--extend-run", "--clobber-outputs"]
    (tmp_path / "defused").write_text("yes")
    assert run_forked(*last_command(done)).code == 0


@pytest.mark.slow
def test_outputs_that_stay_are_said_at_the_start(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(bombed(tmp_path, "fail", "exposure >= 0"))
    assert run_forked(*repository.arguments("-j", "1")).code == 1
    (tmp_path / "defused").write_text("yes")
    done = run_forked(*repository.arguments("-j", "1", "--extend-run"))
    assert done.code == 1
    first = done.err.splitlines()[0]
    assert "6 quanta have failed before" in first
    assert "--clobber-outputs" in first
    assert "existingRefs" not in done.err
    assert done.err.count("--clobber-outputs replaces them") == 1, "one block"
    assert last_command(done).count("--extend-run") == 1
    assert run_forked(*last_command(done)).code == 0


@pytest.mark.slow
def test_what_left_nothing_is_not_clobbered(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(bombed(tmp_path, "kill_self", "exposure=0 AND detector=1"))
    done = run_pipetask(*repository.arguments("-j", "2"))
    assert done.code == 1
    assert "killed" in done.err
    assert last_command(done)[-1] == "--extend-run"
    (tmp_path / "defused").write_text("yes")
    again = run_pipetask(*last_command(done))
    assert again.code == 0, again.err


@pytest.mark.slow
def test_a_success_says_nothing_of_going_on(make_repository: MakeRepository) -> None:
    done = run_forked(*make_repository(MockPipeline(1, 1)).arguments("-j", "1"))
    assert done.code == 0
    assert "go on" not in done.err


def test_failures_of_another_kind_are_another_block() -> None:
    graph = enumerated({"isr": 6, "warp": 2})
    sink = OutcomeCollector(graph, None)
    texts = [
        "no 'a' in 3",
        "no 'b' in 4.5",
        "another",
        "no 'a' in 3",
        "no 'a' in 3",
        "no 'a' in 3",
        "no 'a' in 3",
    ]
    for quantum, text in zip(graph, texts, strict=False):
        kind = "KeyError" if quantum.id == 4 else "ValueError"
        sink.note(QuantumOutcome(quantum.id, Status.FAILED, error=QuantumError(kind, text, "")))
    stop = StopRequest()
    groups = [{outcome.id for outcome in group} for group in grouped(sink.summary(stop))]
    stop.close()
    assert groups == [{0, 1, 3, 5}, {2}, {4}, {6}]


def test_a_command_line_loses_options_with_their_values() -> None:
    parameters = command_for(COMMANDS["run"]).params
    typed = "-p x.yaml --task=a.B -t c.D:e -j4 --replace-run --prune-replaced purge -b repo --extend-run"
    line = CommandLine(("--log-level", "DEBUG"), "run", tuple(typed.split()), parameters)
    building = {each.name or "" for each in parameters if {"-p", "-t"} & {*each.opts}}
    without = {"replace_run", "prune_replaced", *building}
    assert line.changed(without, ["--extend-run", "-g", "a b.qg"]) == (
        "pipetask --log-level DEBUG run -j4 -b repo --extend-run -g 'a b.qg'"
    )
