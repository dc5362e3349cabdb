"""Ways to execute a graph: the commands that do it, of which one is disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MODELS", "Model", "Plan"]

BUNDLE = 6
"""Quanta in a node of a batch run."""


@dataclass(frozen=True)
class Plan:
    """Commands that execute a graph, as arguments."""

    before: Callable[[], Iterable[list[str]]]
    """What is not disturbed, and comes first."""
    disturbed: list[str]
    repeated: Callable[[], Iterable[list[str]]]
    """What goes on after a disturbance."""
    extension: tuple[str, ...] = ()
    """Arguments that make the disturbed command one that goes on."""
    summary: Path | None = None
    """Where a summary is, for commands that are not told where to write it."""


@dataclass(frozen=True)
class Model:
    """A way to execute a graph."""

    plan: Callable[[Path, Path], Plan]
    """Makes a plan for a repository and a folder."""
    workers: bool = False
    fork_server: bool = False
    registers: bool = True
    """Whether outputs are registered in the end."""
    writes_registry: bool = True
    """Whether the command that is disturbed does that."""
    one_command: bool = True
    """Whether the command that is disturbed is all there is to a run."""
    writes_summary: bool = True
    """Whether the command that is disturbed does that."""
    weight: int = 2
    """How often it is taken."""


def run(*more: str) -> Callable[[Path, Path], Plan]:
    """Plan ``pipetask run``."""

    def plan(root: Path, folder: Path) -> Plan:
        command, extension = [*_run(root), *more], ("--extend-run",)
        return Plan(list, command, lambda: [[*command, *extension]], extension)

    return plan


def run_qbb(*more: str) -> Callable[[Path, Path], Plan]:
    """Plan ``pipetask run-qbb``."""

    def plan(root: Path, folder: Path) -> Plan:
        graph = str(root / "graph.qg")
        command = ["run-qbb", str(root), graph, *more]
        return Plan(lambda: [["pre-exec-init-qbb", str(root), graph]], command, lambda: [command])

    return plan


def batch(*, last: bool) -> Callable[[Path, Path], Plan]:
    """Plan a batch run whose nodes are local processes; the first of them, or the last step, is disturbed."""

    def plan(root: Path, folder: Path) -> Plan:
        directory = folder / "batch"
        more = ["--mode", "condor", "--no-submit", "--run-dir", str(directory), "--bundle-size", str(BUNDLE)]
        run_node = ["run-node", str(directory)]

        def nodes() -> list[list[str]]:
            from pipetask.batch.run_directory import RunDirectory

            return [[*run_node, str(number)] for number in range(RunDirectory(directory).facts.nodes)]

        def before() -> Iterator[list[str]]:
            yield from ([*_run(root), *more], [*run_node, "first"])
            if last:
                yield from nodes()

        disturbed, final = [*run_node, "final" if last else "0"], [*run_node, "final"]
        return Plan(before, disturbed, lambda: [*nodes(), final], (), directory / "summary.json")

    return plan


def _run(root: Path) -> list[str]:
    base = ["run", "-b", str(root), "-g", str(root / "graph.qg"), "-o", "u/out", "-i", "input_chain"]
    return [*base, "--register-dataset-types"]


FULL = ("--output-butler", "full")

MODELS = {
    "in-process": Model(run("-j", "1"), weight=4),
    "in-process, full butler": Model(run("-j", "1", *FULL)),
    "-j 2": Model(run("-j", "2"), workers=True, fork_server=True),
    "-j 4": Model(run("-j", "4"), workers=True, fork_server=True),
    "-j 2, full butler": Model(run("-j", "2", *FULL), workers=True, fork_server=True, weight=1),
    "-j 2, spawn": Model(run("-j", "2", "--start-method", "spawn"), workers=True, weight=1),
    "run-qbb": Model(run_qbb("-j", "1"), registers=False, writes_registry=False, weight=1),
    "run-qbb -j 2": Model(
        run_qbb("-j", "2"), workers=True, fork_server=True, registers=False, writes_registry=False, weight=1
    ),
    "batch, a node": Model(
        batch(last=False), writes_registry=False, one_command=False, writes_summary=False, weight=1
    ),
    "batch, the last step": Model(batch(last=True), one_command=False, weight=1),
}
