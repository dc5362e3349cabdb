"""The timeline of a run as Chrome trace events, which Perfetto and other viewers open.

A process for each host, a thread for each lane, a complete event for each attempt, one for each transaction that has
registered outputs, in a process of their own, and flow arrows along two paths: the longest chain of dependencies, and
the chain of what was waited for.  The format is described in "Trace Event Format" by
the Chromium project.  Viewers refuse events that overlap in a thread without one being inside the other: none do here.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import IO, Any

import numpy as np

from ..text import visible
from .facts.attempts import WORDS, Attempts
from .facts.run import RunFacts
from .sink import Sink
from .summary import RunSummary
from .trace_threads import Threads
from .whole_file import WholeFile

__all__ = ["TraceFile", "trace_events", "write_trace"]

_LONGEST = 1000
"""Number of characters that are kept of an error."""

_BUFFER = 1 << 18
"""Bytes that are compressed at a time."""

_FAST = 6
"""Level of compression: 9 takes three times as long, and makes the file hardly smaller."""


class TraceFile(Sink):
    """Writes the timeline of a run at its end.

    Parameters
    ----------
    uri
        Where to write; it is compressed if the name ends with ``.gz``.

    Raises
    ------
    UsageError
        If it is already clear that it cannot be written there.
    """

    def __init__(self, uri: str):
        self._file = WholeFile(uri, "--trace")
        self._compressed = uri.endswith(".gz")

    def end(self, summary: RunSummary) -> None:
        """Write the file."""
        facts = RunFacts.of(summary)
        with self._file.open("wb") as out:
            if self._compressed:
                with gzip.GzipFile("", "wb", _FAST, out, mtime=0) as packed:
                    _write_text(facts, packed)
            else:
                _write_text(facts, out)


def _write_text(facts: RunFacts, out: Any) -> None:
    text = io.TextIOWrapper(io.BufferedWriter(out, _BUFFER), encoding="utf-8")
    write_trace(facts, text)
    text.flush()
    text.detach().detach()


def write_trace(facts: RunFacts, out: IO[str]) -> None:
    """Write the timeline of a run as a JSON object, event by event.

    Parameters
    ----------
    facts
        What the run did.
    out
        Where to write.
    """
    head = {"displayTimeUnit": "ms", "otherData": {"start": facts.begin, "end": facts.end}}
    out.write(f'{json.dumps(head)[:-1]}, "traceEvents": [')
    before = "\n"
    for event in trace_events(facts):
        out.write(f"{before}{json.dumps(event, default=str)}")
        before = ",\n"
    out.write("\n]}\n")


def trace_events(facts: RunFacts) -> Iterator[dict[str, Any]]:
    """Yield the events: names of hosts and lanes, then attempts, then arrows, then transactions.

    Parameters
    ----------
    facts
        What the run did.
    """
    threads = Threads.of(facts.attempts, facts.begin)
    yield from _names(threads)
    yield from _attempts(facts, threads)
    yield from _arrows(facts, threads)
    yield from _transactions(facts, len(threads.hosts) + 1, len(threads.threads) + 1)


def _names(threads: Threads) -> Iterator[dict[str, Any]]:
    for number, host in enumerate(threads.hosts, 1):
        yield _metadata("process_name", number, 0, name=visible(host) or "unknown host")
    for thread in threads.threads:
        yield _metadata("thread_name", thread.pid, thread.tid, name=thread.name)
        yield _metadata("thread_sort_index", thread.pid, thread.tid, sort_index=thread.tid)


def _metadata(what: str, pid: int, tid: int, **arguments: Any) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": arguments}


def _attempts(facts: RunFacts, threads: Threads) -> Iterator[dict[str, Any]]:
    attempts, structure, errors = facts.attempts, facts.structure, _errors(facts)
    for row in range(len(attempts)):
        position, number = int(attempts.position[row]), int(attempts.number[row])
        status = WORDS[attempts.status[row]]
        arguments: dict[str, Any] = {
            "status": status,
            "quantumId": str(structure.quantum_id(position)),
            "dataId": structure.data_id(position),
            "attempt": number,
            **_usage(attempts, row),
        }
        if error := errors.get((position, number)):
            arguments["error"] = error
        yield {
            "ph": "X",
            "name": structure.label(position),
            "cat": status,
            **threads.where(row),
            "ts": int(threads.begin[row]),
            "dur": int(threads.end[row] - threads.begin[row]),
            "args": arguments,
        }


def _transactions(facts: RunFacts, pid: int, tid: int) -> Iterator[dict[str, Any]]:
    if not facts.transactions:
        return
    yield _metadata("process_name", pid, 0, name="registry")
    yield _metadata("thread_name", pid, tid, name="transactions")
    free = 0
    for each in sorted(facts.transactions, key=lambda each: each.start):
        begin = max(free, int((each.start - facts.begin) * 1e6))  # the clock may have been set back
        free = max(begin + 1, int((each.end - facts.begin) * 1e6))
        yield {
            "ph": "X",
            "name": "register",
            "cat": "registered" if each.succeeded else "failed",
            "pid": pid,
            "tid": tid,
            "ts": begin,
            "dur": free - begin,
            "args": {"quanta": each.quanta, "datasets": each.datasets},
        }


def _usage(attempts: Attempts, row: int) -> dict[str, float]:
    values = ((name, float(column[row])) for name, column in attempts.usage.items())
    return {name: value for name, value in values if not np.isnan(value)}


def _errors(facts: RunFacts) -> dict[tuple[int, int], str]:
    """Return what went wrong, by position and number of the attempt."""
    found = {}
    for outcome in facts.outcomes:
        for each in (*outcome.earlier, outcome):
            error = each.error
            text = each.reason if error is None else f"{error.type_name}: {error.message}"
            if each.status.is_failure and text:
                found[facts.graph.position(each.id), each.attempt] = text[:_LONGEST]
    return found


def _arrows(facts: RunFacts, threads: Threads) -> Iterator[dict[str, Any]]:
    if not len(facts.attempts):
        return
    rows = (int(facts.last[position]) for position in facts.longest_chain.positions)
    longest = [row for row in rows if row >= 0]
    waits = [step.row for step in facts.chain_of_waits]
    yield from _along("longest chain", longest, threads, 1)
    yield from _along("waits", waits, threads, 1 + len(longest))


def _along(name: str, rows: Sequence[int], threads: Threads, first: int) -> Iterator[dict[str, Any]]:
    """Yield an arrow from each attempt to the next, as two events that lie inside these, in the order of time."""
    for number, (source, target) in enumerate(pairwise(rows), first):
        common = {"name": name, "cat": "critical path", "id": number}
        leave, arrive = int(threads.end[source]) - 1, int(threads.begin[target])
        leave = min(leave, arrive)
        if leave < threads.begin[source]:
            continue  # the clocks of two hosts disagree
        yield {"ph": "s", **common, **threads.where(source), "ts": leave}
        yield {"ph": "f", "bp": "e", **common, **threads.where(target), "ts": arrive}
