"""Which benchmarks there are, and how they are run."""

from __future__ import annotations

import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from . import bps, commands, condor, engines, growth, imports, inside, journal, plain_dask, report_page, slurm
from .harness import Bench, Figure

__all__ = ["BENCHES", "measure"]

BENCHES: dict[str, Bench] = {
    "parallel_180": commands.parallel_180,
    "serial_1050": commands.serial_1050,
    "scaling_1050": commands.scaling_1050,
    "dispatch": inside.dispatch,
    "own_time": inside.own_time,
    "large_graph": commands.large_graph,
    "enumeration": inside.enumeration,
    "sleepers": commands.sleepers,
    "durability": commands.durability,
    "imports": imports.imports,
    "help_texts": commands.help_texts,
    "condor_writing": condor.condor_writing,
    "condor_status": condor.condor_status,
    "condor_90": condor.condor_90,
    "slurm_large": slurm.slurm_large,
    "slurm_90": slurm.slurm_90,
    "slurm_parsl": slurm.slurm_parsl,
    "report_page": report_page.report_page,
    "growth": growth.growth,
    "journal": journal.journal,
    "watch_82k": journal.watch_82k,
    "engines": engines.engines,
    "plain_dask": plain_dask.plain_dask,
    "bps_parsl": bps.bps_parsl,
}


def measure(names: list[str], repeat: int) -> tuple[list[Figure], list[str]]:
    """Return the figures, and the benchmarks that failed; one that fails costs no other its figures."""
    figures: list[Figure] = []
    failed = []
    for name in names:
        if name not in BENCHES:
            raise SystemExit(f"There is no benchmark {name!r}; there are {', '.join(BENCHES)}.")
    for name in names:
        start = time.monotonic()
        try:
            # In a process of its own: a command's peak memory is never less than that of the process that started it.
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                figures += pool.submit(_figures, name, repeat).result()
        except (Exception, SystemExit):
            traceback.print_exc()
            failed.append(name)
        print(f"({name} took {time.monotonic() - start:.0f} s)", file=sys.stderr)
    return figures, failed


def _figures(name: str, repeat: int) -> list[Figure]:
    """Run a benchmark; print its figures as they come."""
    figures = []
    for figure in BENCHES[name](repeat):
        print(" | ".join(figure.row()), flush=True)
        figures.append(figure)
    return figures
