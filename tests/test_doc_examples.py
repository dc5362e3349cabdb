"""The code that the user guide shows is run as it stands there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import environment, run_pipetask  # isort: skip
from pipetask.testing import MockPipeline

EXAMPLES = Path(__file__).parent.parent / "doc/examples"


def run_example(name: str, folder: Path, *arguments: str) -> str:
    words = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_running_and_looking_at_a_graph(tmp_path: Path) -> None:
    out = run_example("run_graph.py", tmp_path)
    assert out.splitlines()[-2:] == (EXAMPLES / "run_graph.txt").read_text().splitlines()[-2:]
    lines = run_example("look_at_graph.py", tmp_path).splitlines()
    assert len(lines) == 28
    assert lines[0].startswith("0 isr")


def test_listing_failures(tmp_path: Path) -> None:
    pipeline = MockPipeline(configs={"isr": {"fail_condition": "exposure=0 AND detector=1"}})
    graph = pipeline.make(tmp_path / "repo")
    words = ["run", "-b", str(tmp_path / "repo"), "-g", str(graph), "-o", "u/out", "--register-dataset-types"]
    assert run_pipetask(*words, "--summary", str(tmp_path / "summary.json")).code == 1
    (line,) = run_example("list_failures.py", tmp_path, str(tmp_path / "summary.json")).splitlines()
    assert line.startswith("isr")
    assert "failed: Simulated failure" in line


def test_the_test_of_an_execution_model() -> None:
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(EXAMPLES / "test_my_model.py"),
    ]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_shown(path: Path) -> None:
    pages = "".join(page.read_text() for page in (EXAMPLES.parent / "guide").glob("*.md"))
    assert path.name in pages
