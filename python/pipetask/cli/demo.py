"""`pipetask demo`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from .logs import LogOptions

__all__ = ["command"]


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-j", "--processes", type=click.IntRange(min=1), default=2, help="Number of worker processes.")
@click.pass_obj
def command(logs: LogOptions | None, folder: Path, processes: int) -> int:
    """Make a small sky survey in DIR, process it, and find its variable star.

    Simulates CCD exposures of one star field, makes a butler repository of them, builds a quantum graph through
    pipe_base, executes it, and says what was found.  DIR must not exist, or be empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"{folder} exists and is not an empty folder: name another, or remove it.")
    (logs or LogOptions()).apply()
    from ..demo import repository

    root, graph, picture = folder / "repo", folder / "demo.qg", folder / "coadd.png"
    folder.mkdir(parents=True, exist_ok=True)
    _say(f"Simulating exposures and making a butler repository in {root} …")
    repository.make_repository(root)
    _say("Building the quantum graph …")
    count = repository.build_graph(root, graph)
    words = ["-b", str(root), "-g", str(graph), "-o", "demo/out", "-i", "demo/defaults"]
    words += ["--register-dataset-types", "-j", str(processes)]
    _say(f"Executing {count} quanta: pipetask run {shlex.join(words)}")
    code = _run(words, logs)
    if code == 0:
        _show(root, graph, picture)
    return code


def _run(words: list[str], logs: LogOptions | None) -> int:
    from .catalog import COMMANDS

    run = COMMANDS["run"].command()
    with run.make_context("pipetask run", words) as context:
        context.obj = logs
        result = run.invoke(context)
    return int(result)


def _show(root: Path, graph: Path, picture: Path) -> None:
    from ..demo.report import summarize

    for line in summarize(root, "demo/out", picture).lines():
        print(line)
    base = ["pipetask", "run", "-b", str(root), "-g", str(graph), "-o", "demo/out"]
    print("\nThree things to try next:")
    print(f"  {shlex.join([*base, '--extend-run'])}\n      runs nothing again: all is done")
    print(
        f"  {shlex.join([*base, '--extend-run', '--mode', 'dry-run'])}\n      says what would run, and why not"
    )
    print(f"  butler query-datasets {shlex.quote(str(root))} variability --collections demo/out")
    print("      asks LSST's butler what is in the repository")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
