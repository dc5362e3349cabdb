"""Whole runs of the command on real repositories, undisturbed and disturbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from fault_tasks import BombTask, UnsociableTask
from forked import run_forked
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until

from conftest import Finished, Repository, run_pipetask, start_pipetask  # isort: skip

pytestmark = pytest.mark.slow

MakeRepository = Callable[..., Repository]
LABELS = ("isr", "characterize", "gather")
MODES = {"in-process": ["-j", "1"], "multiprocess": ["-j", "2"]}
FULL = {"full butler": ["-j", "1", "--output-butler", "full"]}


def bombed(bomb: str, where: str, folder: Path, label: str = "characterize", **more: object) -> MockPipeline:
    config = {"bomb": bomb, "bomb_where": where, "bomb_folder": str(folder), **more}
    return MockPipeline(2, 3, task_classes={label: BombTask}, configs={label: config})


def run(*arguments: str) -> Finished:
    """Run the command: in a fork, which has imported everything, where it starts no processes."""
    return run_pipetask(*arguments) if "-j 2" in " ".join(arguments) else run_forked(*arguments)


def registered(root: Path) -> dict[str, int]:
    """Count the datasets of the output run that are registered; check that each is stored."""
    counts: dict[str, int] = {}
    with Butler.from_config(str(root)) as butler:
        for ref in butler.query_all_datasets("u/out/run", limit=None):
            assert butler.stored(ref), f"{ref} is registered and not stored"
            counts[ref.datasetType.name] = counts.get(ref.datasetType.name, 0) + 1
    return counts


def state(root: Path) -> dict[str, object]:
    """Return all that an undisturbed run and a disturbed one that was completed must have in common."""
    result: dict[str, object] = {}
    with Butler.from_config(str(root)) as butler:
        for name in butler.collections.query("*"):
            info = butler.collections.get_info(name)
            result[f"collection {name}"] = (info.type, tuple(info.children))
        for ref in butler.query_all_datasets("*", find_first=False, limit=None):
            records = butler._datastore.export_records([ref])
            infos = [
                i for d in records.values() for t in d.records.values() for each in t.values() for i in each
            ]
            assert all(info.file_size > 0 for info in infos)
            place = [(info.path, info.formatter, info.component) for info in infos]
            result[f"dataset {ref}"] = (ref.id, ref.run, butler.stored(ref), place)
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    result["files"] = {str(path) for path in files if path.suffix not in (".sqlite3", ".db")}
    return result


@pytest.mark.parametrize("mode", MODES)
def test_a_run_registers_everything(repository: Repository, mode: str, tmp_path: Path) -> None:
    done = run_pipetask(*repository.arguments(*MODES[mode], "--summary", str(tmp_path / "summary.json")))
    assert done.code == 0, done.err
    assert "succeeded: 10 succeeded" in done.err
    counts = registered(repository.root)
    assert {name: counts[name] for name in ("post_isr", "calibrated", "exposure_summary", "packages")} == {
        "post_isr": 4,
        "calibrated": 4,
        "exposure_summary": 2,
        "packages": 1,
    }
    for label, number in zip(LABELS, (4, 4, 2), strict=True):
        assert (counts[f"{label}_log"], counts[f"{label}_metadata"], counts[f"{label}_config"]) == (
            number,
            number,
            1,
        )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "success"
    assert {quantum["outcome"] for quantum in summary["quanta"]} == {"succeeded"}
    for quantum in summary["quanta"]:
        assert set(quantum["usage"]) == {
            "wallSeconds",
            "cpuSeconds",
            "peakMemory",
            "bytesRead",
            "bytesWritten",
        }
        assert quantum["usage"]["peakMemory"] > 1e7
        assert quantum["usage"]["bytesWritten"] > 0
        assert quantum["usage"]["wallSeconds"] == pytest.approx(quantum["end"] - quantum["start"], abs=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_is_reported_with_log_and_command(
    make_repository: MakeRepository, mode: str, tmp_path: Path
) -> None:
    repository = make_repository(bombed("fail", "exposure=0 AND detector=1", tmp_path))
    done = run(*repository.arguments(*MODES[mode]))
    assert done.code == 1
    assert "characterize (instrument='Mock', detector=1, exposure=0) failed" in done.err
    assert "ValueError: bomb" in done.err
    assert "blocks 1 quantum that needs it" in done.err
    assert "12 succeeded, 1 failed, 1 blocked" in done.err
    log = next(line.split("log: ")[1] for line in done.err.splitlines() if "log: " in line)
    assert "the bomb goes off" in Path(log).read_text()
    command = next(
        line.split("run it alone: pipetask ")[1] for line in done.err.splitlines() if "alone" in line
    )
    alone = run(*command.split())
    assert alone.code == 1
    assert "1 failed" in alone.err
    assert "12 succeeded" not in alone.err


@pytest.mark.parametrize("more", [["-j", "1"], ["-j", "2"], ["-j", "2", "--output-butler", "full"]])
def test_an_interrupt_that_a_task_raises_is_a_failure_with_its_log(
    make_repository: MakeRepository, more: list[str], tmp_path: Path
) -> None:
    repository = make_repository(bombed("raise_interrupt", "exposure=0 AND detector=1", tmp_path))
    done = run(*repository.arguments(*more))
    assert done.code == 1
    assert "12 succeeded, 1 failed, 1 blocked" in done.err
    assert "KeyboardInterrupt" in done.err
    counts = registered(repository.root)
    assert (counts["characterize_log"], counts["characterize_metadata"]) == (6, 5)


@pytest.mark.parametrize("bomb", ["leave_thread", "leave_child"])
def test_what_a_task_leaves_in_the_commands_process_ends_with_it(
    make_repository: MakeRepository, bomb: str, tmp_path: Path
) -> None:
    repository = make_repository(bombed(bomb, "exposure=0 AND detector=1", tmp_path))
    done = run_pipetask(*repository.arguments("-j", "1"))  # the thread lasts an hour
    assert done.code == 0, done.err
    assert "14 succeeded" in done.err


@pytest.mark.parametrize("mode", MODES)
def test_a_child_that_goes_on_as_the_task_stores_nothing(
    make_repository: MakeRepository, mode: str, tmp_path: Path
) -> None:
    repository = make_repository(bombed("fork_and_go_on_later", "exposure=0 AND detector=1", tmp_path))
    done = run_pipetask(*repository.arguments(*MODES[mode]))
    assert done.code == 0, done.err
    assert done.err.count("14 succeeded") == 1
    with Butler.from_config(str(repository.root), collections="u/out") as butler:
        logs = [butler.get(ref) for ref in butler.query_datasets("characterize_log", limit=None)]
    assert {record.process for log in logs for record in log if "took" in record.message} == {
        record.process for log in logs for record in log
    }


ODD_LINES = ("cannot read caf\\udce9.fits", "a message that could not be formatted: '%d stars' (TypeError)")


@pytest.mark.parametrize(
    ("more", "bomb", "words", "code"),
    [
        (["-j", "1"], "log_oddly", ODD_LINES, 0),
        (["-j", "2", "--output-butler", "full"], "log_oddly", ODD_LINES, 0),
        (["-j", "2"], "fail_with_surrogate", ("Exception ValueError: caf\\udce9.fits",), 1),
    ],
)
def test_a_log_is_stored_whatever_it_holds(
    make_repository: MakeRepository,
    more: list[str],
    bomb: str,
    words: tuple[str, ...],
    code: int,
    tmp_path: Path,
) -> None:
    pipeline = replace(bombed(bomb, "", tmp_path, "isr"), exposures=1, detectors=1)
    repository = make_repository(pipeline)
    summary = tmp_path / "summary.json"
    done = run(*repository.arguments(*more, "--summary", str(summary)))
    assert done.code == code, done.err
    json.loads(summary.read_text())
    assert registered(repository.root)["isr_log"] == 1
    with Butler.from_config(str(repository.root), collections="u/out") as butler:
        log = butler.get("isr_log", instrument="Mock", exposure=0, detector=0)
    assert all(any(line in record.message for record in log) for line in words)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("bomb", "more", "code"),
    [
        ("invalid", [], 21),
        ("repeatable", [], 1),
        ("repeatable", ["--fail-fast"], 20),
        ("fail", ["--fail-fast"], 1),
    ],
)
def test_exit_codes(
    make_repository: MakeRepository, tmp_path: Path, mode: str, bomb: str, more: list[str], code: int
) -> None:
    repository = make_repository(bombed(bomb, "exposure=0 AND detector=0", tmp_path, "isr"))
    done = run(*repository.arguments(*MODES[mode], *more))
    assert done.code == code, done.err
    stopped = bomb == "invalid" or "--fail-fast" in more
    assert ("cancelled" in done.err) == stopped, done.err


def test_a_segfault_costs_one_quantum(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(bombed("segfault", "exposure=0 AND detector=1", tmp_path))
    done = run_pipetask(*repository.arguments("-j", "2"))
    assert done.code == 1
    assert "SIGSEGV (Segmentation fault): a crash in compiled code" in done.err
    assert "12 succeeded, 1 killed, 1 blocked" in done.err
    log = Path(next(line.split("log: ")[1] for line in done.err.splitlines() if "log: " in line))
    text = log.read_text()
    shutil.rmtree(log.parent)
    assert "the bomb goes off" in text
    assert "Segmentation fault" in text
    assert registered(repository.root)["calibrated"] == 5


def test_a_timeout_at_j_1(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(bombed("hang_with_family", "exposure=0 AND detector=1", tmp_path))
    summary = tmp_path / "summary.json"
    done = run_pipetask(*repository.arguments("--timeout", "8", "--summary", str(summary)))
    assert done.code == 1
    assert "12 succeeded, 1 timed-out, 1 blocked" in done.err
    assert json.loads(summary.read_text())["status"] == "timeout"


@pytest.mark.parametrize(
    ("mode", "number", "code"),
    [
        ("in-process", signal.SIGINT, 130),
        ("in-process", signal.SIGHUP, 129),
        ("multiprocess", signal.SIGINT, 130),
        ("multiprocess", signal.SIGTERM, 143),
        ("multiprocess", signal.SIGQUIT, 131),
        ("full butler", signal.SIGTERM, 143),
    ],
)
def test_a_signal_cancels_and_the_run_can_be_completed(
    make_repository: MakeRepository, tmp_path: Path, mode: str, number: int, code: int
) -> None:
    way = (MODES | FULL)[mode]
    undisturbed = make_repository(bombed("hang", "exposure=1 AND detector=1", tmp_path, bomb_once=True))
    disturbed = Repository(tmp_path / "other", tmp_path / "other" / "graph.qg")
    shutil.copytree(undisturbed.root, disturbed.root)
    summary = tmp_path / "summary.json"

    process = start_pipetask(*disturbed.arguments(*way, "--summary", str(summary)))
    wait_until((tmp_path / "armed").exists, "a quantum hangs")
    os.kill(process.pid, number)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert "cancelled: " in err
    assert f"interrupted by {signal.Signals(number).name}" in err
    content = json.loads(summary.read_text())
    assert (content["outcome"], content["status"], content["exitCode"]) == ("cancelled", "failure", code)
    assert registered(disturbed.root)["isr_metadata"] >= 1, "what is finished is registered"
    complete(undisturbed, disturbed, tmp_path, way)


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_command_can_be_completed(
    make_repository: MakeRepository, tmp_path: Path, mode: str
) -> None:
    undisturbed = make_repository(bombed("hang", "exposure=1 AND detector=1", tmp_path, bomb_once=True))
    disturbed = Repository(tmp_path / "other", tmp_path / "other" / "graph.qg")
    shutil.copytree(undisturbed.root, disturbed.root)

    process = start_pipetask(*disturbed.arguments(*MODES[mode]))
    wait_until((tmp_path / "armed").exists, "a quantum hangs")
    process.kill()
    process.communicate()
    complete(undisturbed, disturbed, tmp_path, MODES[mode])


def complete(undisturbed: Repository, disturbed: Repository, folder: Path, mode: list[str]) -> None:
    """Complete a disturbed run; its end state must be that of an undisturbed run."""
    (folder / "defused").write_text("yes")
    # A file that a killed quantum had begun to write is not registered and must not be in the way.
    done = run(*disturbed.arguments(*mode, "--extend-run"))
    assert done.code == 0, done.err
    assert "skipped" in done.err
    assert run(*undisturbed.arguments(*mode)).code == 0
    assert state(disturbed.root) == state(undisturbed.root)


def test_debris_of_an_interrupted_quantum_is_replaced(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    undisturbed, disturbed = make_repository(name="undisturbed"), make_repository(name="disturbed")
    assert run(*undisturbed.arguments()).code == 0
    assert run(*disturbed.arguments("--init-only")).code == 0
    source = next((undisturbed.root / "u/out/run/post_isr").rglob("*.json"))
    target = disturbed.root / source.relative_to(undisturbed.root)
    target.parent.mkdir(parents=True)
    target.write_text("{half a file")
    done = run(*disturbed.arguments("--extend-run"))
    assert done.code == 0, done.err
    assert state(disturbed.root) == state(undisturbed.root)
    assert json.loads(target.read_text())


@pytest.mark.parametrize("victim", ["isr_log", "post_isr"])
def test_a_quantum_that_was_ended_while_it_wrote_is_run_again(
    make_repository: MakeRepository, victim: str
) -> None:
    undisturbed, disturbed = make_repository(name="undisturbed"), make_repository(name="disturbed")
    assert run(*undisturbed.arguments()).code == 0
    assert run(*disturbed.arguments("--init-only")).code == 0
    # The files of one quantum, of which the registry knows nothing, but not all of them.
    written = ["post_isr", "isr_metadata"] if victim == "isr_log" else ["isr_log"]
    for dataset_type in written:
        source = sorted((undisturbed.root / "u/out/run" / dataset_type).rglob("*_0_D0_*"))[0]
        target = disturbed.root / source.relative_to(undisturbed.root)
        target.parent.mkdir(parents=True)
        shutil.copy(source, target)
    done = run(*disturbed.arguments("--extend-run"))
    assert done.code == 0, done.err
    assert "10 succeeded" in done.err
    assert state(disturbed.root) == state(undisturbed.root)


def test_extending_a_complete_run_does_nothing(repository: Repository) -> None:
    assert run_pipetask(*repository.arguments("-j", "2")).code == 0
    before = state(repository.root)
    done = run_pipetask(*repository.arguments("-j", "2", "--extend-run"))
    assert done.code == 0
    assert "succeeded: 10 skipped" in done.err
    assert state(repository.root) == before


def test_clobbering_keeps_the_log_of_the_earlier_attempt(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(bombed("fail", "exposure=0 AND detector=1", tmp_path, bomb_once=True))
    assert run(*repository.arguments()).code == 1
    (tmp_path / "defused").write_text("yes")
    refused = run(*repository.arguments("--extend-run"))
    assert refused.code == 1, "outputs that are registered are not replaced without being asked"
    assert "--clobber-outputs replaces them" in refused.err
    done = run(*repository.arguments("--extend-run", "--clobber-outputs"))
    assert done.code == 0, done.err
    with Butler.from_config(str(repository.root), collections="u/out/run") as butler:
        log = butler.get("characterize_log", instrument="Mock", exposure=0, detector=1)
    (earlier,) = log.extra["previous_attempts"]
    assert any("the bomb goes off" in record["message"] for record in earlier["logs"])
    assert registered(repository.root)["exposure_summary"] == 2


def test_a_task_that_cannot_run_elsewhere_is_refused(make_repository: MakeRepository) -> None:
    pipeline = MockPipeline(1, 1, task_classes={"isr": UnsociableTask})
    repository = make_repository(pipeline)
    before = state(repository.root)
    done = run(*repository.arguments("-j", "2"))
    assert done.code == 1
    assert "'isr' does not support multiprocessing" in done.err
    assert state(repository.root) == before
    assert run(*repository.arguments("-j", "1")).code == 0


@pytest.mark.parametrize(
    "bomb", ["leave_thread", "leave_child", "raise_unpicklable", "raise_huge", "log_much"]
)
def test_untidy_tasks_do_not_hang_a_run(make_repository: MakeRepository, tmp_path: Path, bomb: str) -> None:
    repository = make_repository(bombed(bomb, "exposure=0 AND detector=1", tmp_path))
    done = run_pipetask(*repository.arguments("-j", "2"))
    assert done.code == (1 if bomb.startswith("raise") else 0), done.err


def test_the_debugger_is_entered_at_the_failing_line(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(bombed("fail", "exposure=0 AND detector=1", tmp_path))
    process = start_pipetask(*repository.arguments("--pdb"), stdin=subprocess.PIPE)
    out, err = process.communicate("where\nquit\n")
    assert 'raise ValueError("bomb") from cause' in out
    assert "(Pdb)" in out
    assert process.returncode == 1, err


def test_an_execution_model_by_class_path(repository: Repository) -> None:
    done = run(*repository.arguments("--mode", "example_executor:ReverseLabelExecutor"))
    assert done.code == 0, done.err
    assert "rsi" in done.out
    assert registered(repository.root)["exposure_summary"] == 2


def test_retries_are_refused_where_the_model_makes_none(repository: Repository) -> None:
    words = ("--mode", "example_executor:ReverseLabelExecutor", "--error-retries", "1")
    done = run(*repository.arguments(*words))
    assert done.code == 2
    assert "ReverseLabelExecutor runs each quantum once: leave out --retries" in done.line
    done = run(*repository.arguments("--mode", "dry-run", "--error-retries", "1"))
    assert done.code == 0, "a dry run is of any command"


def test_progress_lines_where_there_is_no_terminal(make_repository: MakeRepository) -> None:
    repository = make_repository(MockPipeline(2, 3, configs={"isr": {"sleep": 2.0}}))
    done = run_pipetask(*repository.arguments("-j", "2"))
    assert done.code == 0, done.err
    lines = [line for line in done.err.splitlines() if "quanta done" in line]
    assert lines
    assert any("2 running" in line and "isr " in line and "left" in line for line in lines)
    assert len(lines) <= done.seconds / 4


@pytest.mark.parametrize("mode", MODES)
def test_a_log_file_gets_the_messages_of_all_processes(
    repository: Repository, tmp_path: Path, mode: str
) -> None:
    log = tmp_path / "messages.log"
    done = run_pipetask("--log-file", str(log), *repository.arguments(*MODES[mode]))
    assert done.code == 0, done.err
    text = log.read_text()
    assert text.count("Finished mocking task") == 10
    assert "Finished mocking task" not in done.err, "not on the terminal unless asked for"


def test_python_interface(repository: Repository) -> None:
    from pipetask import QuantumGraphExecutor, RunOptions, Status
    from pipetask.executors.in_process import InProcessExecutor
    from pipetask.graph.file import PredictedQuantumGraph
    from pipetask.options.collections import OutputOptions
    from pipetask.options.execution import PreUpdateOptions

    options = RunOptions(
        collections=OutputOptions(output="u/out", inputs=("input_chain",)),
        pre_update=PreUpdateOptions(register_dataset_types=True),
    )
    graph = PredictedQuantumGraph.read_execution_quanta(str(repository.graph))
    summary = QuantumGraphExecutor(InProcessExecutor(), str(repository.root), options).execute(graph)
    assert summary.exit_code == 0
    assert summary.total == {Status.SUCCEEDED: 10}
    assert registered(repository.root)["exposure_summary"] == 2
