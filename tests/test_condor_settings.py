"""The settings that hold for the jobs of a task: as they are shown, and as a restart takes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dag_reader import split_words
from forked import run_forked
from in_process import run_here
from pipetask import BatchExecutor, BatchOptions, CondorOptions, CondorSystem
from pipetask.batch.condor.configuration import CondorConfiguration
from pipetask.batch.condor.descriptions import rewrite
from pipetask.batch.condor.layout import Layout
from pipetask.batch.run_directory import RunDirectory
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.testing import CallSpec, enumerated

from conftest import Repository  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")


@pytest.mark.slow
def test_settings_of_a_run_are_those_it_was_written_with(repository: Repository, tmp_path: Path) -> None:
    run_dir = str(tmp_path / "run")
    words = ("--mode", "condor", "--no-submit", "--run-dir", run_dir, "--condor", "labels.isr.request_cpus=3")
    written = run_forked(*repository.arguments(*words))
    assert written.code == 0, written.err
    for label, cpus, universe in (
        ("isr", 3, "vanilla"),
        ("characterize", 1, "vanilla"),
        ("final", 1, "local"),
    ):
        shown = run_here("condor", "show-config", label, "--run-dir", run_dir)
        settings = yaml.safe_load(shown.out)
        assert (settings["request_cpus"], settings["universe"]) == (cpus, universe)
    refused = run_here("condor", "show-config", "irs", "--run-dir", run_dir)
    assert refused.code == 2
    assert refused.err == f"pipetask: {run_dir} has no task 'irs': did you mean 'isr'?\n"


@pytest.fixture
def written(tmp_path: Path) -> RunDirectory:
    """Return a run of two tasks that was written and not submitted."""
    system = CondorSystem(CondorOptions(condor=("environment.MINE=then",)))
    options = BatchOptions(run_dir=str(tmp_path / "run"), submit=False)
    context = ExecutionContext(enumerated({"isr": 2, "co add": 1}), CallSpec(print))
    assert len(list(BatchExecutor(system, options).execute(context.graph, context))) == 3
    context.stop.close()
    return RunDirectory(tmp_path / "run")


def edit(directory: RunDirectory, **jobs: object) -> CondorConfiguration:
    """Edit the settings of a run, and return them."""
    path = Layout(directory.path).configuration
    content = yaml.safe_load(path.read_text())
    content["jobs"] |= jobs
    path.write_text(yaml.safe_dump(content))
    return CondorConfiguration.load(str(path))


def descriptions(directory: RunDirectory) -> dict[str, dict[str, str]]:
    files = Layout(directory.path).folder.glob("*.sub")
    return {path.stem: commands(path.read_text()) for path in files}


def commands(text: str) -> dict[str, str]:
    *lines, last = text.splitlines()
    assert last == "queue"
    return dict(line.split(" = ", 1) for line in lines)


def test_a_restart_takes_the_settings_and_the_place_that_a_run_has_now(
    written: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = descriptions(written)
    assert sorted(before) == ["final", "kind0_co_add", "kind1_isr", "no_job"]
    rewrite(written, CondorConfiguration.load(str(Layout(written.path).configuration)))
    assert descriptions(written) == before, "nothing was changed"
    written.path.rename(tmp_path / "moved")
    moved = RunDirectory(tmp_path / "moved")
    monkeypatch.setenv("PATH", "/of/another/shell")
    monkeypatch.setenv("NEW", "now")
    patterns = ["PATH", "NEW"]
    settings = {"request_cpus": 2, "request_memory": "5GB", "error_retries": 4, "pass_environment": patterns}
    rewrite(moved, edit(moved, **settings))
    after = descriptions(moved)["kind1_isr"]
    assert (after["initialdir"], after["request_cpus"]) == (str(tmp_path / "moved"), "2")
    assert after["My.PipetaskMemory"] == "$(memory:5120)"
    assert after["My.PipetaskRun"] == before["kind1_isr"]["My.PipetaskRun"]
    words = dict(word.split("=", 1) for word in split_words(after["environment"]))
    assert words.pop("PATH") != "/of/another/shell", "as it was when the run was written"
    assert words == {"NEW": "now", "MINE": "then"}
    assert moved.recipe().retries.rule("isr").error_retries == 4


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"file_system": "transfer"}, "were written for file_system shared, which a restart cannot change"),
        ({"attributes": {"+X": 1}}, "neither + nor My. before it"),
    ],
)
def test_what_a_restart_cannot_do_changes_nothing(
    written: RunDirectory, setting: dict[str, object], message: str
) -> None:
    before = descriptions(written)
    with pytest.raises(PipetaskError, match=re.escape(message)):
        rewrite(written, edit(written, **setting))
    assert descriptions(written) == before


@pytest.mark.slow
@pytest.mark.parametrize("named", [None, "/cache of the site's"])
def test_a_temporary_folder_of_the_submitters_does_not_travel(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    variable = "DAF_BUTLER_CACHE_DIRECTORY_IF_UNSET"
    monkeypatch.delenv(variable, raising=False)
    if named is not None:
        monkeypatch.setenv(variable, named)
    monkeypatch.setenv("DAF_BUTLER_REPOSITORIES", "/repositories")
    words = ("--mode", "condor", "--no-submit", "--run-dir", str(tmp_path / "run"))
    written = run_forked(*repository.arguments(*words))
    assert written.code == 0, written.err
    said = "".join(path.read_text() for path in (tmp_path / "run" / "dagman").iterdir())
    assert "DAF_BUTLER_REPOSITORIES=/repositories" in said
    assert (variable in said) == (named is not None)


def test_settings_are_shown_before_there_is_a_run(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("labels: {isr: {request_memory: 5GB}}\n")
    shown = run_here(
        "condor", "show-config", "isr", "--condor-config", str(site), "--condor", "request_disk=3GB"
    )
    settings = yaml.safe_load(shown.out)
    assert (settings["request_memory"], settings["request_disk"]) == (5120, 3072)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "isr"), "show-config"),
        (("show-config",), "LABEL"),
        (("show-config", "isr", "--condor", "request_cpu=2"), "did you mean 'request_cpus'?"),
        (("show-config", "isr", "--run-dir", "none"), "none is not a run directory"),
    ],
)
def test_what_cannot_be_shown_is_refused(words: tuple[str, ...], said: str) -> None:
    refused = run_here("condor", *words)
    assert refused.code != 0
    assert said in refused.err
    assert refused.err.count("\n") == 1
