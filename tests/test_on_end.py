"""The command of ``--on-end``: what it is told, and that nothing depends on it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import run_forked
from pipetask.batch.node import run_node
from pipetask.batch.run_directory import RunDirectory
from pipetask.observe.on_end import call_at_end, end_variables
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until
from test_observe import failed, summarize

from conftest import Repository, start_pipetask  # isort: skip

TELL = (
    "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('PIPETASK_')}))"
)


def telling(path: Path) -> str:
    """Return a command that appends what it is told to a file."""
    return f'{sys.executable} -c "{TELL}" >> {path}'


def told(path: Path) -> dict[str, str]:
    """Return what the command has been told, once."""
    (line,) = path.read_text().splitlines()
    return json.loads(line)


def test_it_is_told_the_verdict_and_the_files(repository: Repository, tmp_path: Path) -> None:
    summary, notes = tmp_path / "summary.json", tmp_path / "notes"
    finished = run_forked(*repository.arguments("--summary", str(summary), "--on-end", telling(notes)))
    assert finished.code == 0, finished.err
    found = told(notes)
    assert found["PIPETASK_VERDICT"] == "succeeded"
    assert found["PIPETASK_EXIT_CODE"] == "0"
    assert found["PIPETASK_MESSAGE"] == finished.err.splitlines()[-1]
    assert found["PIPETASK_OUTPUT_RUN"].startswith("u/out")
    assert json.loads(Path(found["PIPETASK_SUMMARY"]).read_text())["outcome"] == "succeeded"
    assert not found.keys() & {"PIPETASK_REPORT", "PIPETASK_RUN_DIR"}


@pytest.mark.slow
def test_it_is_called_last_and_changes_nothing(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    """The output run is free by then: the command can go on with it."""
    repository = make_repository(MockPipeline(configs={"isr": {"fail_condition": "detector=1"}}))
    again = f"{sys.executable} -m pipetask.cli {' '.join(repository.arguments('--extend-run'))}"
    finished = run_forked(*repository.arguments("--on-end", f"{again} 2>{tmp_path}/again; exit 7"))
    assert finished.code == 1
    *_, words, complaint = finished.err.splitlines()
    assert words.startswith("go on: ")
    assert complaint == "pipetask: the command of --on-end failed with exit code 7; the run is not affected."
    assert "failed before, left registered outputs" in (tmp_path / "again").read_text()


def test_a_run_without_a_registry_and_a_plan_have_an_end(repository: Repository, tmp_path: Path) -> None:
    words = ("--mode", "dry-run", "--on-end", telling(tmp_path / "plan"))
    assert run_forked(*repository.arguments(*words)).code == 0
    assert told(tmp_path / "plan")["PIPETASK_VERDICT"] == "planned"
    place = (str(repository.root), str(repository.graph))
    assert run_forked("pre-exec-init-qbb", *place).code == 0
    assert run_forked("run-qbb", *place, "--on-end", telling(tmp_path / "run")).code == 0
    assert told(tmp_path / "run")["PIPETASK_VERDICT"] == "succeeded"
    refused = run_forked("run-qbb", *place, "--mode", "condor", "--on-end", "true")
    assert refused.code == 2
    assert refused.line.startswith("pipetask: --html, --trace and --on-end need the last job of a batch run")


@pytest.mark.slow
def test_the_last_job_of_a_batch_run_calls_it(repository: Repository, tmp_path: Path) -> None:
    notes, path = tmp_path / "notes", tmp_path / "run"
    words = ("--mode", "condor", "--no-submit", "--run-dir", str(path), "--on-end", telling(notes))
    written = run_forked(*repository.arguments(*words))
    assert written.code == 0, written.err
    directory = RunDirectory(path)
    with directory.index() as index:
        nodes = [node.name for node in index.nodes()]
    assert [run_node(directory, node) for node in nodes] == [0] * len(nodes)
    assert run_forked("report", str(path)).code in (0, 1)
    assert not notes.exists(), "the run has not ended"
    assert run_forked("run-node", str(path), "final").code == 0
    found = told(notes)
    assert found["PIPETASK_VERDICT"] == "succeeded"
    assert found["PIPETASK_RUN_DIR"] == str(path)
    assert found["PIPETASK_SUMMARY"] == str(directory.summary)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("true", ""),
        ("exit 3", "failed with exit code 3"),
        ("kill -9 $$", "was killed by SIGKILL"),
        ("sleep 1000 & sleep 1000", "had not ended after 0.3 s and was killed"),
        ("no\0where", "could not be started: ValueError: embedded null byte"),
    ],
)
def test_its_failure_is_one_line(command: str, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    """That nothing is left of it is checked for all tests."""
    call_at_end(command, {}, limit=0.3 if "sleep" in command else 100)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == bool(line)
    assert not line or line in lines[0]


def test_what_it_prints_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    call_at_end("echo $PIPETASK_VERDICT", {"PIPETASK_VERDICT": "it's done"})
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "it's done\n")


def test_it_does_not_inherit_files_of_another_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPETASK_SUMMARY", "/that/of/another.json")
    call_at_end("echo ${PIPETASK_SUMMARY-none}", end_variables(summarize([failed(0)]), []))
    assert capfd.readouterr().err == "none\n"


def test_variables_fit_into_an_environment() -> None:
    reason = "why\0\x1b\n" * 100_000
    summary = summarize([QuantumOutcome(0, Status.CANCELLED)], signal=2)
    object.__setattr__(summary, "stopped", reason)
    message = end_variables(summary, [])["PIPETASK_MESSAGE"]
    assert message is not None
    assert message.isprintable()
    assert message.startswith("cancelled: 1 cancelled in ")
    assert len(message) <= 2000


@pytest.mark.slow
def test_an_interruption_ends_only_the_command(repository: Repository, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    words = ("--on-end", f"touch {begun}; sleep 1000")
    process = start_pipetask(*repository.arguments(*words))
    wait_until(begun.exists, "its command has begun")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 0
    assert err.splitlines()[-1] == (
        "pipetask: the command of --on-end was interrupted and killed; the run is not affected."
    )
