"""`pipetask demo`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from ..errors import PipetaskError, UsageError
from ..options.collections import OutputOptions, RepositoryOptions
from ..options.commands.run import RunCommand
from ..options.commands.setup import DemoCommand
from ..options.declaration import OwnedOptions
from ..options.execution import ExecutorOptions, PreUpdateOptions, RunOptions
from ..options.graph import GraphFileOptions
from ..text import shell_command
from .command import Invocation
from .going_on import say
from .interrupted import note
from .logs import configure_logging
from .run import run as run_graph

__all__ = ["run"]

_REQUIREMENTS = ("pipetask_demo", "pyarrow")
"""What the demo imports and pipetask does not; the distributions of these are the extra ``demo`` in setup.cfg."""


def run(invocation: Invocation) -> int:
    """Make the survey and process it."""
    options: DemoCommand = invocation.options
    folder = Path(options.dir)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder: name another, or remove it.")
    _check_requirements()
    configure_logging(invocation.logs)
    from pipetask_demo import repository

    root, graph = folder / "repo", folder / "demo.qg"
    folder.mkdir(parents=True, exist_ok=True)
    again = f"rm -r {shell_command([str(folder)])} && {shell_command(['pipetask', 'demo', str(folder)])}"
    note(f"{folder} is incomplete", again)
    _say(f"Simulating exposures and making a butler repository in {root} …")
    repository.make_repository(root)
    _say("Building the quantum graph …")
    count = repository.build_graph(root, graph)
    words = ["-b", str(root), "-g", str(graph), "-o", "demo/out", "-i", "demo/defaults"]
    words += ["--register-dataset-types", "-j", str(options.processes)]
    _say(f"Executing {count} quanta: pipetask run {shell_command(words)}")
    code = run_graph(Invocation(_as_options(root, graph, options.processes), invocation.logs))
    if code == 0:
        _show(root, graph)
    else:
        say(again)
    return code


def _check_requirements() -> None:
    if missing := [name for name in _REQUIREMENTS if find_spec(name) is None]:
        raise PipetaskError(
            f"The demo needs {' and '.join(missing)}, not installed here: pip install 'pipetask[demo]'."
        )


def _as_options(root: Path, graph: Path, processes: int) -> RunCommand:
    return RunCommand(
        repository=RepositoryOptions(butler_config=str(root)),
        source=GraphFileOptions(qgraph=str(graph)),
        run=RunOptions(
            collections=OutputOptions(output="demo/out", inputs=("demo/defaults",)),
            pre_update=PreUpdateOptions(register_dataset_types=True),
        ),
        executor=ExecutorOptions(models=OwnedOptions({"processes": processes})),
    )


def _show(root: Path, graph: Path) -> None:
    from pipetask_demo.report import summarize

    picture, plot = root.parent / "coadd.png", root.parent / "light_curve.svg"
    for line in summarize(root, "demo/out", picture, plot).lines():
        print(line)
    base = ["pipetask", "run", "-b", str(root), "-g", str(graph), "-o", "demo/out"]
    print("\nThings to try next:")
    activate = Path(sys.prefix, "bin", "activate")
    other = which("pipetask") != str(activate.with_name("pipetask"))  # it may be LSST's
    if other and activate.exists():
        print(
            f"  {shell_command(['.', os.path.relpath(activate)])}\n      first, to have the commands in this shell"
        )
    print(f"  {shell_command([*base, '--extend-run'])}\n      runs nothing again: all is done")
    print(
        f"  {shell_command([*base, '--extend-run', '--mode', 'dry-run'])}\n      says what would run, and why not"
    )
    print(f"  butler query-datasets {shell_command([str(root)])} variability --collections demo/out")
    print("      asks LSST's butler what is in the repository")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
