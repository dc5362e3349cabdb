"""Settings of a site: read, overlaid, checked, and heeded."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipetask.errors import UsageError
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.settings.site import VARIABLE, Settings

from conftest import Repository, run_pipetask  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")


def test_the_shipped_defaults_are_those_of_the_code() -> None:
    assert BundlePolicy(**Settings.load().pool) == BundlePolicy()
    assert Settings.load().modes == {}


def site_file(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = folder / "site.yaml"
    path.write_text(text)
    monkeypatch.setenv(VARIABLE, str(path))


def test_a_site_overrides_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site_file(tmp_path, monkeypatch, "pool: {most: 3}\nmodes: {mine: a.b.C}\n")
    settings = Settings.load()
    assert settings.pool == {"seconds": 0.2, "most": 3, "grace": 10.0}
    assert settings.modes == {"mine": "a.b.C"}


def test_a_section_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Settings.load()
    site_file(tmp_path, monkeypatch, "pool:\n")
    assert Settings.load() == shipped


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pol: {most: 3}", "'pol' is unknown: did you mean 'pool'?"),
        ("pool: {mots: 3}", "'mots' is unknown: did you mean 'most'?"),
        ("pool: {most: 2.5}", "pool.most cannot be 2.5"),
        ("pool: {most: 0}", "pool.most cannot be 0"),
        ("pool: {grace: soon}", "pool.grace cannot be 'soon'"),
        ("pool: {most: true}", "pool.most cannot be True"),
        ("pool: 3", "has no settings"),
        ("modes: {mine: 3}", "modes.mine cannot be 3"),
        ("[1, 2]", "has no sections"),
        ("pool: {most: [", "cannot be read"),
        ("pool: {most: 3}  # \0", "cannot be read"),
    ],
)
def test_a_bad_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    site_file(tmp_path, monkeypatch, text)
    with pytest.raises(UsageError) as raised:
        Settings.load()
    assert words in str(raised.value)


@pytest.mark.slow
def test_a_missing_file_is_refused_by_the_command(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "/no/such/file.yaml")
    done = run_pipetask(*repository.arguments())
    assert done.code == 2
    assert "/no/such/file.yaml" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_a_mode_named_by_the_site(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site_file(tmp_path, monkeypatch, "modes: {backwards: example_executor.ReverseLabelExecutor}")
    done = run_pipetask(*repository.arguments("--mode", "backwards"))
    assert done.code == 0, done.err
    assert "rsi" in done.out
