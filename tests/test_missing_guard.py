"""A script that starts worker processes, and forgets that these import it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Repository, environment  # isort: skip

WITHOUT_REPOSITORY = """
    from pathlib import Path
    from toy_work import Recorder
    from pipetask.errors import PipetaskError
    from pipetask.executors.base import ExecutionContext
    from pipetask.executors.pool import MultiprocessExecutor
    from pipetask.testing import CallSpec, enumerated
    context = ExecutionContext(enumerated({"a": 20}), CallSpec(Recorder(Path("FOLDER"))))
    executor = MultiprocessExecutor(3, "METHOD")
    try:
        list(executor.execute(context.graph, context))
    except PipetaskError as error:
        if __name__ != "__main__":
            raise
        raise SystemExit(str(error))
"""
WITH_REPOSITORY = """
    from pipetask import MultiprocessExecutor, QuantumGraphExecutor
    from pipetask.options.collections import OutputOptions
    from pipetask.options.execution import PreUpdateOptions, RunOptions
    options = RunOptions(
        collections=OutputOptions(output="u/out", inputs=("input_chain",)),
        pre_update=PreUpdateOptions(register_dataset_types=True),
    )
    summary = QuantumGraphExecutor(MultiprocessExecutor(3, "METHOD"), "FOLDER", options).execute("GRAPH")
    raise SystemExit(summary.exit_code)
"""


def run_script(path: Path, script: str) -> str:
    """Run a script that fails; return what it says."""
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert not done.stdout
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_missing_guard_is_one_line(tmp_path: Path, method: str) -> None:
    script = WITHOUT_REPOSITORY.replace("FOLDER", str(tmp_path)).replace("METHOD", method)
    (line,) = run_script(tmp_path / "script.py", script).splitlines()
    assert 'under if __name__ == "__main__":' in line
    assert not list(tmp_path.glob("*.start")), "no quantum ran"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_script_from_standard_input_needs_no_guard(tmp_path: Path, method: str) -> None:
    script = WITHOUT_REPOSITORY.replace("FOLDER", str(tmp_path)).replace("METHOD", method)
    done = subprocess.run(
        [sys.executable, "-"],
        input=textwrap.dedent(script),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.glob("*.start"))) == 20


@pytest.mark.slow
def test_a_missing_guard_is_one_line_for_a_graph(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = make_repository()
    script = WITH_REPOSITORY.replace("FOLDER", str(repository.root)).replace("GRAPH", str(repository.graph))
    said = run_script(tmp_path / "script.py", script.replace("METHOD", "forkserver"))
    (line,) = (line for line in said.splitlines() if "eups" not in line)  # that is a warning of lsst-utils
    assert 'under if __name__ == "__main__":' in line
