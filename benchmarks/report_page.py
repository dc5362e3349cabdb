"""The page that explains a run, of runs that are simulated: how large, how long to write, and how fast in a browser."""

from __future__ import annotations

import heapq
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from pipetask.executors.stop import StopRequest
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.graph.structure import GraphStructure
from pipetask.observe.page.sink import PageSink
from pipetask.observe.summary import OutcomeCollector, RunSummary
from pipetask.outcome import QuantumError, QuantumOutcome, Status, Usage
from pipetask.testing import enumerated

from .harness import Figure, median, scratch

__all__ = ["report_page", "simulated_run"]

TASKS = 12
DETECTORS = 189
WORKERS = 64
NEXTFLOW = 1.58
"""MB of the assets in every report of Nextflow; its table of tasks ends at 10,000."""

_TRACEBACK = 'Traceback (most recent call last):\n  File "/a/task.py", line {line}, in run\n    fit()\n'


def report_page(repeat: int) -> Iterator[Figure]:
    """Pages of 100,000 and of 1,000,000 quanta."""
    with scratch() as folder:
        path = folder / "page.html"
        summary = simulated_run(100_000)
        seconds = median(_write(summary, path) for _ in range(repeat))
        title = "page of 100,000 quanta"
        size = path.stat().st_size / 1e6
        yield Figure(f"{title}: size", size, NEXTFLOW, "Nextflow's, empty", "MB", size, 2, at_least=False)
        yield Figure(f"{title}: time to write it", seconds, None, "", "s", seconds, 3, at_least=False)
        opened, frame = _in_browser(path, folder, repeat)
        yield Figure(f"{title}: time until it can be used", opened, None, "", "s", opened, 1, at_least=False)
        yield Figure(f"{title}: a frame while zooming", frame, None, "", "ms", frame, 33, at_least=False)
        summary = simulated_run(1_000_000)
        seconds = _write(summary, path)
        title = "page of 1,000,000 quanta"
        size = path.stat().st_size / 1e6
        yield Figure(f"{title}: size", size, None, "", "MB", size, 15, at_least=False)
        yield Figure(f"{title}: time to write it", seconds, None, "", "s", seconds, 60, at_least=False)
        opened, frame = _in_browser(path, folder, 1)
        yield Figure(f"{title}: time until it can be used", opened, None, "", "s", opened, 10, at_least=False)
        yield Figure(f"{title}: a frame while zooming", frame, None, "", "ms", frame, 330, at_least=False)


def _write(summary: RunSummary, path: Path) -> float:
    start = time.monotonic()
    PageSink(
        str(path), ["pipetask", "run"], lambda _: lambda id: f"pipetask run --qgraph-node-id {id}", WORKERS
    ).end(summary)
    return time.monotonic() - start


def simulated_run(size: int) -> RunSummary:
    """Return a run of chains of twelve tasks on 64 slots, in which a few quanta in a thousand fail."""
    random.seed(size)
    graph = _graph(size // TASKS)
    collector = OutcomeCollector(
        graph, SimpleNamespace(output_run="u/me/out/run", output="u/me/out", inputs=("in",), command="")
    )
    free = [(1e9, worker) for worker in range(WORKERS)]
    ended: dict[int, float] = {}
    roots: dict[int, int] = {}
    for quantum in graph:
        outcome = _outcome(graph, quantum.id, quantum.position, free, ended, roots)
        collector.note(outcome)
    stop = StopRequest()
    summary = collector.summary(stop, elsewhere=True)
    stop.close()
    return summary


def _graph(chains: int) -> EnumeratedGraph:
    size = TASKS * chains
    firsts = np.arange(size - chains)
    rows = [("LSSTCam", i % DETECTORS, 2026112600000 + i // DETECTORS) for i in range(chains)]
    structure = GraphStructure(
        [f"task{number}" for number in range(TASKS)],
        [("instrument", "detector", "visit")] * TASKS,
        [chains] * TASKS,
        random.randbytes(16 * size),
        rows * TASKS,
        np.column_stack((firsts, firsts + chains)),
    )
    return EnumeratedGraph(structure, enumerated({}).source)


def _outcome(
    graph: EnumeratedGraph,
    id: int,
    position: int,
    free: list[tuple[float, int]],
    ended: dict[int, float],
    roots: dict[int, int],
) -> QuantumOutcome:
    needed = graph.structure.needed_by(position)
    if (root := next((roots[p] for p in needed if p in roots), None)) is not None:
        roots[position] = root
        return QuantumOutcome(id, Status.BLOCKED, blocked_by=root)
    at, worker = heapq.heappop(free)
    start = max(at + 0.002, *(ended[p] for p in needed), 0.0)
    seconds = random.lognormvariate(2, 0.6) * (1 + position % TASKS / 3)
    ended[position] = start + seconds
    heapq.heappush(free, (start + seconds, worker))
    usage = Usage(
        seconds, seconds * random.uniform(0.7, 1), int(random.lognormvariate(21, 0.3)), 10**7, 10**6
    )
    outcome = QuantumOutcome(
        id, Status.SUCCEEDED, start, start + seconds, f"node{worker % 8:03}", 1000 + worker, usage
    )
    if random.random() < 0.003:
        roots[position] = id
        outcome.status = Status.FAILED
        line = random.randrange(20)
        outcome.error = QuantumError("ValueError", f"no fit for {id}", _TRACEBACK.format(line=line))
    return outcome


def _in_browser(path: Path, folder: Path, repeat: int) -> tuple[float, float]:
    """Return the seconds until a page can be used, and the 90th percentile of a frame in milliseconds."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "window-size=1400,1000",
    ):
        options.add_argument(f"--{switch}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver") or ""))
    try:
        opened = []
        for _ in range(repeat):
            driver.get("about:blank")
            driver.get(path.as_uri())
            WebDriverWait(driver, 300).until(
                lambda _: driver.execute_script("return window.pipetask && pipetask.ready")
            )
            opened.append(driver.execute_script("return pipetask.milliseconds") / 1000)
        frames = driver.execute_script(
            """
            const span = pipetask.facts.span, frames = [];
            for (let i = 0; i < 40; i++) {
              const part = span / 2 * (1 - .8 ** i);
              pipetask.zoom(part, span - part);
              pipetask.paint();
              frames.push(pipetask.frame);
            }
            return frames;
            """
        )
        return median(opened), sorted(frames)[int(0.9 * len(frames))]
    finally:
        driver.quit()
