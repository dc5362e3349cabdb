"""`pipetask condor show-config`: the settings that hold for the jobs of a task."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from forked import run_forked
from in_process import run_here

from conftest import Repository  # isort: skip


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
