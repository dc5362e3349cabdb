"""Whole commands, side by side with LSST's own."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pipetask.testing import MockPipeline

from .harness import (
    HERE,
    OURS,
    Figure,
    checked,
    fresh_copy,
    median,
    peer_command,
    run_words,
    scratch,
    timed_command,
)

__all__ = [
    "durability",
    "help_texts",
    "large_graph",
    "parallel_180",
    "scaling_1050",
    "serial_1050",
    "sleepers",
]


def parallel_180(repeat: int) -> Iterator[Figure]:
    """180 small quanta on two processes."""
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=20, detectors=4).make(template)
        ours, peer = _side_by_side(template, repeat, "-j", "2")
        yield Figure(
            "180 small quanta, -j 2, whole command", ours, peer, "LSST's pipetask", "s", peer / ours, 30
        )


def serial_1050(repeat: int) -> Iterator[Figure]:
    """1,050 small quanta on one process."""
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=50, detectors=10).make(template)
        ours, peer = _side_by_side(template, repeat, "-j", "1")
        yield Figure(
            "1,050 small quanta, -j 1, whole command", ours, peer, "LSST's pipetask", "s", peer / ours, 4.5
        )


def _side_by_side(template: Path, repeat: int, *options: str) -> tuple[float, float]:
    ours, peer = [], []
    for _ in range(repeat):
        ours.append(checked(timed_command(run_words(OURS, fresh_copy(template), *options))).seconds)
        peer.append(
            checked(timed_command(run_words([peer_command()], fresh_copy(template), *options))).seconds
        )
    return median(ours), median(peer)


def durability(repeat: int) -> Iterator[Figure]:
    """1,050 small quanta whose outputs are forced to disk before they are registered, and not."""
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=50, detectors=10).make(template)
        seconds: dict[str, list[float]] = {"full": [], "none": []}
        for _ in range(repeat):
            for choice, values in seconds.items():
                values.append(execution_part(fresh_copy(template), "-j", "2", "--durability", choice))
        full, none = median(seconds["full"]), median(seconds["none"])
        name = "1,050 small quanta, -j 2, all on disk before it is registered"
        yield Figure(name, full, none, "--durability none", "s", none / full, 0.9)


def scaling_1050(repeat: int) -> Iterator[Figure]:
    """The execution part on one process and on two."""
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=50, detectors=10).make(template)
        seconds: dict[str, list[float]] = {"1": [], "2": []}
        for _ in range(repeat):
            for processes, values in seconds.items():
                values.append(execution_part(fresh_copy(template), "-j", processes))
        one, two = median(seconds["1"]), median(seconds["2"])
        yield Figure(
            "1,050 small quanta, -j 2, execution part", two, one, "our own -j 1", "s", one / two, 1.7
        )


def execution_part(root: Path, *options: str, command: list[str] = OURS) -> float:
    """Return the seconds from the start of the first quantum until all is registered."""
    summary = root / "summary.json"
    checked(timed_command(run_words(command, root, *options, "--summary", str(summary))))
    content = json.loads(summary.read_text())
    return float(content["end"]) - min(
        quantum["start"] for quantum in content["quanta"] if "start" in quantum
    )


def sleepers(repeat: int) -> Iterator[Figure]:
    """200 quanta that sleep half a second, on eight processes."""
    with scratch() as folder:
        template = folder / "repo"
        configs = {label: {"sleep": 0.5} for label in ("isr", "characterize", "gather")}
        # isr alone has 200 quanta; the others wait for it and are left out.
        MockPipeline(exposures=50, detectors=4, configs=configs).make(template)
        values = []
        for _ in range(repeat):
            root = fresh_copy(template)
            values.append(execution_part(root, "-j", "8", "--qgraph-node-id", _ids_of_isr(root)))
        seconds = median(values)
        ideal = 200 * 0.5 / 8
        yield Figure("200 quanta that sleep 0.5 s, -j 8", seconds, ideal, "ideal", "s", ideal / seconds, 0.95)


def _ids_of_isr(root: Path) -> str:
    from pipetask.graph.file import GraphFile

    structure = GraphFile(str(root / "graph.qg")).structure
    return ",".join(str(structure.quantum_id(position)) for position in structure.positions("isr"))


def large_graph(repeat: int) -> Iterator[Figure]:
    """82,000 quanta: from the start of the command to the start of the first quantum."""
    with scratch() as folder:
        template = folder / "repo"
        # Elsewhere: a command's peak memory is never less than that of the process that started it.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(_make_large, template).result()
        ours, peer = _first_starts(OURS, template, repeat), _first_starts([peer_command()], template, 1)
        name = "82,000 quanta: start of the command to first quantum"
        against = "LSST's pipetask"
        yield Figure(name, ours[0], peer[0], against, "s", ours[0], 5, at_least=False)
        yield Figure(
            "82,000 quanta: peak memory of the parent", ours[1], peer[1], against, "MB", ours[1], 600, False
        )


def _make_large(root: Path) -> None:
    sys.path.insert(0, str(HERE))
    from stamp_task import StampTask

    MockPipeline(2000, 20, task_classes={"isr": StampTask}, stored_inputs=False).make(root)


def _first_starts(command: list[str], template: Path, repeat: int) -> tuple[float, float]:
    seconds, memory = [], []
    for number in range(repeat):
        root = fresh_copy(template)
        stamp = root / f"stamp-{number}"
        start = time.time()
        timed = timed_command(run_words(command, root, "-j", "2", "--fail-fast"), PIPETASK_STAMP=str(stamp))
        if not stamp.exists():
            raise SystemExit(f"No quantum was started:\n{timed.err[-3000:]}")
        seconds.append(float(stamp.read_text()) - start)
        memory.append(timed.peak_memory / 1e6)
    return median(seconds), median(memory)


def help_texts(repeat: int) -> Iterator[Figure]:
    """How long one waits for help."""
    peer = median(checked(timed_command([peer_command(), "--help"])).seconds for _ in range(repeat))
    command = [str(Path(sys.executable).with_name("pipetask"))]
    for words, wanted in ((["--help"], 0.25), (["run", "--help"], 0.35)):
        ours = median(checked(timed_command([*command, *words])).seconds for _ in range(max(5, repeat)))
        name = f"`pipetask {' '.join(words)}`"
        yield Figure(name, ours, peer, "LSST's pipetask --help", "s", ours, wanted, at_least=False)
