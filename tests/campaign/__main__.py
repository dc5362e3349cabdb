"""The command line: ``python -m campaign 0-59``.

With ``--record FILE`` what comes of each seed is added to a file, and the table is that of all seeds in the file, each
as it went last; so a long campaign can be run in pieces, and seeds again.
"""

from __future__ import annotations

import argparse
import json
import queue
import resource
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from campaign.faults import FAULTS
from campaign.harness import Result
from campaign.table import report, text, write_docs
from campaign.workshop import Workshop

__all__ = ["main", "parse_seeds"]


def parse_seeds(words: str) -> list[int]:
    """Return the seeds that a text such as ``0-59,77`` names."""
    found: list[int] = []
    for word in words.split(","):
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> int:
    """Run seeds, print what came of each, and a table; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    parser.add_argument("seeds", type=parse_seeds, nargs="?", default=[], help="such as 0-59,77")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="seeds at a time")
    parser.add_argument("--kind", help="only seeds of faults with these words in their names")
    parser.add_argument("--write-docs", action="store_true", help="put the table into doc/figures.md, too")
    parser.add_argument("--record", type=Path, help="file to which the results are added")
    parser.add_argument("--workspace", type=Path, help="folder for all that is made")
    options = parser.parse_args()
    seeds = options.seeds
    if options.kind:
        kinds = list(FAULTS)
        seeds = [seed for seed in seeds if options.kind in kinds[seed % len(kinds)]]
    workspace = options.workspace or Path(tempfile.mkdtemp(prefix="campaign-"))
    results = run(seeds, options.jobs, workspace.absolute(), options.record)
    if options.record:
        results = read(options.record)
    print(text(results))
    if options.write_docs:
        write_docs(results)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(results)} seeds, {used.ru_utime + used.ru_stime:.0f} s of processor time", file=sys.stderr)
    return int(any(result.complaints for result in results))


def read(record: Path) -> list[Result]:
    """Return what came last of each seed in a file of results."""
    results = [Result(**json.loads(line)) for line in record.read_text().splitlines()]
    return list({result.seed: result for result in results}.values())


def run(seeds: list[int], jobs: int, workspace: Path, record: Path | None = None) -> list[Result]:
    """Run seeds, some at a time."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seed in seeds:
        waiting.put(seed)
    results: list[Result] = []
    threads = [
        threading.Thread(target=_work, args=(waiting, workspace, results, record)) for _ in range(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results, key=lambda result: result.seed)


def _work(
    waiting: queue.SimpleQueue[int], workspace: Path, results: list[Result], record: Path | None
) -> None:
    workshop = Workshop(workspace)
    while not waiting.empty():
        try:
            seed = waiting.get_nowait()
        except queue.Empty:
            break
        result = workshop.run(seed)
        results.append(result)
        if record:
            with record.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
        print(report(result), file=sys.stderr, flush=True)
    workshop.close()


if __name__ == "__main__":
    sys.exit(main())
