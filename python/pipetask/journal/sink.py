"""Write the journal of a run on this machine, from a thread: the run never waits for it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import one_line, reason_of
from ..executors.activity import Activity
from ..graph.enumeration import EnumeratedGraph
from ..observe.sink import Sink
from ..observe.summary import RunSummary
from ..outcome import QuantumOutcome, Transaction
from ..runner.spec import absolute_config
from .facts import RunBegin, RunEnd
from .outcome_record import to_record
from .places import new_journal, remove_old, runs_folder
from .records import FIRST_LINE, packed
from .starts import INTERVAL, StartWatch

__all__ = ["JournalFacts", "JournalSink"]

_LOG = logging.getLogger(__name__)

BEAT = 10.0
"""Seconds after which a journal without news is touched, so that readers on other machines see that the run lives."""

FAREWELL = 10.0
"""Seconds that a run waits in the end for a disk that does not answer."""

_PLAIN = (int, str, float, bool, bytes, type(None))


@dataclass(frozen=True, kw_only=True)
class JournalFacts:
    """What is known of a run by what begins it."""

    graph: str | None = None
    repository: str | None = None
    output_run: str | None = None
    resume: str | None = None
    options: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls,
        graph: str | None,
        repository: str,
        resume: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> JournalFacts:
        """Return facts that are true in any working directory.

        Parameters
        ----------
        graph, repository
            What is run, and where: paths, URIs, or an alias.
        resume
            Command that goes on with the run.
        options
            Options that do not have their default, as text by name.
        """
        return cls(
            graph=graph if graph is None or "://" in graph else str(Path(graph).absolute()),
            repository=absolute_config(repository),
            resume=resume,
            options=options,
        )


class JournalSink(Sink):
    """Writes the journal of a run.

    Outcomes are put into a queue, which costs the run next to nothing.  A thread writes twice a second what has
    happened meanwhile.  If it cannot write, this is told once, and the run goes on without a journal.

    Parameters
    ----------
    folder
        Where to write; it is made if needed.
    facts
        What the command knows of the run.
    """

    def __init__(self, folder: Path, facts: JournalFacts | None = None):
        self.path = new_journal(folder.absolute())  # a task may change the working directory
        self._facts = facts or JournalFacts()
        self._news: deque[QuantumOutcome] = deque()
        self._over = threading.Event()
        self._writer: _Writer | None = None
        self._thread: threading.Thread | None = None
        self._begun = time.time()

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Create the journal, and start to write."""
        self._begun = time.time()
        head = _head(graph, totals, self._facts, self._begun)
        self._writer = _Writer(self.path, graph, list(head.labels))
        self._thread = threading.Thread(
            target=self._write, args=(head, activity), name="journal", daemon=True
        )
        self._thread.start()

    def note(self, outcome: QuantumOutcome) -> None:
        """Take an outcome, to be written soon."""
        self._news.append(outcome)

    def end(self, summary: RunSummary) -> None:
        """Write what is left, and how the run ended."""
        if self._thread is None or self._writer is None:
            return
        self._writer.last = _end(summary, self._begun)
        self._over.set()
        self._thread.join(FAREWELL)
        if self._thread.is_alive():
            _LOG.warning("The journal %s cannot be written to its end: its disk does not answer.", self.path)

    def _write(self, head: RunBegin, activity: Activity) -> None:
        assert self._writer is not None, "begin was called"
        writer, starts = self._writer, StartWatch(activity)
        try:
            writer.create(head)
            if runs_folder() in self.path.parents:
                remove_old(self.path.parent)
            while not self._over.wait(INTERVAL):
                # First what runs, then what has ended: so what was seen running ends later in the file.
                started, ended = list(writer.started(starts)), list(writer.ended(self._news))
                writer.write([*started, *ended, *writer.registered(activity.transactions)])
            ended, registered = list(writer.ended(self._news)), writer.registered(activity.transactions)
            writer.write([*ended, *registered, packed(writer.last.to_record())])
            writer.close()
        except Exception as error:
            _LOG.warning(
                "The journal %s cannot be written (%s).  The run itself is not affected.",
                self.path,
                error.strerror if isinstance(error, OSError) and error.strerror else reason_of(error),
            )
            _LOG.debug("The journal broke off:", exc_info=error)
            self._forget()

    def _forget(self) -> None:
        """Keep nothing more for a journal that is not written any more."""
        self._news = deque(maxlen=0)


class _Writer:
    """The journal's file."""

    def __init__(self, path: Path, graph: EnumeratedGraph, labels: list[str]):
        self._path = path
        self._graph = graph
        self._tasks = {label: number for number, label in enumerate(labels)}
        self._file = -1
        self._identity = (-1, -1)
        self._beat = time.monotonic()
        self._transactions = 0
        self.last = RunEnd()

    def create(self, head: RunBegin) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        created = os.fstat(self._file)
        self._identity = created.st_dev, created.st_ino
        self.write([FIRST_LINE, packed(head.to_record())])

    def started(self, starts: StartWatch) -> Iterator[bytes]:
        for started in starts.news():
            yield packed(started.to_record() | self._names(started.id))

    def ended(self, news: deque[QuantumOutcome]) -> Iterator[bytes]:
        while news:
            outcome = news.popleft()
            yield packed(to_record(outcome) | self._names(outcome.id))

    def registered(self, transactions: Sequence[Transaction]) -> Iterator[bytes]:
        while self._transactions < len(transactions):
            each = transactions[self._transactions]
            self._transactions += 1
            yield packed({"record": "registered", **asdict(each)})

    def write(self, content: list[bytes]) -> None:
        """Write some records at once; touch the file if there are none for long."""
        now = time.monotonic()
        if not content:
            if now - self._beat > BEAT:
                self._beat = now
                self._check()
                os.utime(self._file)
            return
        self._beat = now
        self._check()
        data = memoryview(b"".join(content))
        while data:
            data = data[os.write(self._file, data) :]

    def _check(self) -> None:
        """Make sure that the descriptor is that of the journal: a task in this process may have closed it.

        Then another file may have its number, and it must neither be written to nor closed.
        """
        try:
            found = os.fstat(self._file)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            found = os.fstat(self._file)
        if not found.st_nlink:
            raise OSError(2, "it was removed")

    def close(self) -> None:
        os.close(self._file)

    def _names(self, id: int) -> dict[str, Any]:
        """Return what identifies a quantum to people, because a reader need not have the graph."""
        structure, position = self._graph.structure, self._graph.position(id)
        values = [v if type(v) in _PLAIN else str(v) for v in structure.data_values(position)]
        return {
            "label": self._tasks.get(structure.label(position), -1),
            "data": values,
            "quantum": structure.quantum_id_bytes(position),
        }


def _head(graph: EnumeratedGraph, totals: Mapping[str, int], facts: JournalFacts, start: float) -> RunBegin:
    structure = graph.structure
    return RunBegin.here(
        start,
        command=[str(word) for word in sys.argv],
        options=dict(facts.options or {}),
        graph=facts.graph,
        repository=facts.repository,
        output_run=facts.output_run or getattr(getattr(graph.source, "header", None), "output_run", None),
        resume=facts.resume,
        labels=dict(totals),
        dimensions=[list(structure.data_id(structure.positions(label)[0])) for label in totals],
    )


def _end(summary: RunSummary, begun: float) -> RunEnd:
    return RunEnd(
        end=begun + (summary.end - summary.start),  # it does not jump when the clock does
        outcome=summary.status,
        exit_code=summary.exit_code,
        signal=summary.signal,
        stopped=summary.stopped,
        error=None if summary.error is None else one_line(summary.error),
        unregistered=summary.unregistered,
        counts={status.value: number for status, number in summary.total.items()},
    )
