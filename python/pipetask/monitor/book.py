"""All that is known of the quanta of a run, from its journal or its run directory, and from its graph."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.ledger import Ledger
from ..batch.outcomes import Attempt
from ..batch.run_directory import RunDirectory
from ..batch.system import Snapshot
from ..batch.systems import system_class_of, system_of
from ..errors import PipetaskError
from ..journal.facts import RunBegin
from ..journal.reader import JournaledQuantum, JournalReader
from ..journal.records import Started
from ..outcome import QuantumOutcome
from .selection import QuantumSelection
from .view import named

if TYPE_CHECKING:
    from ..graph.file import GraphFile

__all__ = ["BatchBook", "Book", "KnownQuantum", "LocalBook", "open_book"]


@dataclass(frozen=True)
class KnownQuantum:
    """What is known of a quantum."""

    quantum: JournaledQuantum
    outcome: QuantumOutcome | None = None
    started: Started | None = None
    """If it runs now."""

    node: str | None = None
    """The node of a batch run that it belongs to."""

    host: str | None = None
    """Where the last job of this node has begun, if it has not ended since."""

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.outcome is not None:
            return self.outcome.status.value
        return "running" if self.started is not None else "not ended"


class Book(ABC):
    """What is known of a run."""

    name: str
    graph: str | None
    """Path of its graph."""

    repository: str | None
    alive: bool
    """Whether it may still run quanta."""

    _open: GraphFile | None = None

    @abstractmethod
    def quanta(self) -> Iterator[JournaledQuantum]:
        """Yield the quanta that are known without the graph."""

    @abstractmethod
    def labels(self) -> Collection[str]:
        """Return the labels of the quanta that take part."""

    @abstractmethod
    def known(self, quantum: JournaledQuantum) -> KnownQuantum:
        """Return what is known of a quantum."""

    @abstractmethod
    def by_id(self, id: int) -> JournaledQuantum | None:
        """Return the quantum with the id that outcomes of this run use; `None` if it is not known."""

    @abstractmethod
    def failed(self) -> Iterator[KnownQuantum]:
        """Yield the quanta that have failed."""

    @contextmanager
    def open_graph(self) -> Iterator[GraphFile]:
        """Open the run's graph, or take it as it is in a context of `graph_kept_open`.

        Raises
        ------
        PipetaskError
            If it is gone or cannot be read.
        """
        from ..repository.access import open_graph

        if self._open is not None:
            yield self._open
            return
        if self.graph is None or ("://" not in self.graph and not Path(self.graph).exists()):
            raise PipetaskError(f"The graph {self.graph or 'of the run'} is gone.")
        with open_graph(self.repository or ".", self.graph) as file:
            yield file

    @contextmanager
    def graph_kept_open(self) -> Iterator[None]:
        """Read the graph once for all that is asked in this context; if it cannot be read, that is said when asked."""
        with ExitStack() as stack:
            with suppress(PipetaskError, LookupError, OSError):
                self._open = stack.enter_context(self.open_graph())
            try:
                yield
            finally:
                self._open = None

    def find(self, selection: QuantumSelection) -> KnownQuantum:
        """Return what is known of the quantum that a user means.

        Raises
        ------
        PipetaskError
            If there is no such quantum, or more than one.
        """
        if found := [each for each in self.quanta() if selection.matches(each)]:
            return self.known(selection.only(found))
        whole, labels = list(self._of_graph()), self.labels()
        if found := [each for each in whole if selection.matches(each)]:
            return self.known(selection.only(found))
        raise selection.refuse(
            self.name, whole or list(self.quanta()), [*labels, *({q.label for q in whole} - set(labels))]
        )

    def _of_graph(self) -> Iterator[JournaledQuantum]:
        """Yield all quanta of the graph; none if it cannot be read."""
        try:
            with self.open_graph() as file:
                structure = file.structure
                for position in range(len(structure)):
                    yield JournaledQuantum(
                        -1,
                        structure.label(position),
                        structure.data_id(position),
                        structure.quantum_id(position),
                    )
        except PipetaskError:
            return


class LocalBook(Book):
    """What the journal of a run on a machine says.

    Parameters
    ----------
    journal
        The journal.
    """

    def __init__(self, journal: Path):
        reader = JournalReader(journal)
        pairs = list(reader.news())
        begin = reader.begin or RunBegin()
        self.name = begin.output_run or journal.parent.name
        self.graph, self.repository = begin.graph, begin.repository
        self.alive = reader.end is None and reader.life().alive
        self._begin = begin
        self._known = {quantum.quantum_id: KnownQuantum(quantum, outcome) for quantum, outcome in pairs}
        for quantum, started in reader.running.values():
            self._known[quantum.quantum_id] = KnownQuantum(quantum, started=started)
        self._by_id = {each.quantum.id: each.quantum for each in self._known.values()}

    def quanta(self) -> Iterator[JournaledQuantum]:
        """Yield the quanta that the journal names."""
        yield from (each.quantum for each in self._known.values())

    def labels(self) -> Collection[str]:
        """Return the labels of the quanta that take part."""
        return list(self._begin.labels)

    def known(self, quantum: JournaledQuantum) -> KnownQuantum:
        """Return what is known of a quantum."""
        return self._known.get(quantum.quantum_id) or KnownQuantum(quantum)

    def by_id(self, id: int) -> JournaledQuantum | None:
        """Return the quantum with an id."""
        return self._by_id.get(id)

    def failed(self) -> Iterator[KnownQuantum]:
        """Yield the quanta that have failed."""
        yield from (e for e in self._known.values() if e.outcome is not None and e.outcome.status.is_failure)


class BatchBook(Book):
    """What a run directory says.

    Parameters
    ----------
    directory
        The run.
    """

    def __init__(self, directory: RunDirectory):
        self.directory = directory
        self.name = directory.facts.output_run
        self.graph, self.repository = str(directory.graph), directory.facts.repository or None
        self.alive = not directory.summary.exists() and not _is_over(directory)
        self._ledger = Ledger(directory)
        self._node = lru_cache(maxsize=256)(self._read_node)

    @cached_property
    def _homes(self) -> dict[uuid.UUID, tuple[JournaledQuantum, int, str]]:
        homes = {}
        with self.directory.index() as index:
            for node in index.nodes():
                for each in node.quanta:
                    quantum = named(index, each)
                    homes[quantum.quantum_id] = quantum, node.number, node.name
        return homes

    @cached_property
    def _by_id(self) -> dict[int, JournaledQuantum]:
        return {quantum.id: quantum for quantum, _, _ in self._homes.values()}

    def quanta(self) -> Iterator[JournaledQuantum]:
        """Yield the quanta of all nodes."""
        yield from (quantum for quantum, _, _ in self._homes.values())

    def labels(self) -> Collection[str]:
        """Return the labels of the quanta that take part."""
        return list(self.directory.facts.labels)

    def known(self, quantum: JournaledQuantum) -> KnownQuantum:
        """Return what the files of its node say."""
        if (home := self._homes.get(quantum.quantum_id)) is None:
            return KnownQuantum(quantum)
        own, number, name = home
        outcomes, last = self._node(number)
        if last is None:
            return KnownQuantum(own, None, None, name)
        host = last.host if last.exit_code is None else None
        return KnownQuantum(own, outcomes.get(own.id), last.running.get(own.id), name, host or None)

    def _read_node(self, number: int) -> tuple[dict[int, QuantumOutcome], Attempt | None]:
        """Return outcomes by id, and the last attempt, which is the one that may run: those before it were killed."""
        record = self._ledger.node(number)
        last = record.attempts[-1] if record.attempts else None
        return {each.id: each for each in record.outcomes()}, last

    @cached_property
    def snapshot(self) -> Snapshot | None:
        """What the batch system knows of the run; `None` if it cannot say."""
        try:
            return system_of(self.directory).watch(self.directory).look()
        except PipetaskError:
            return None

    @property
    def system(self) -> str:
        """What messages call the batch system."""
        try:
            return system_class_of(self.directory).title
        except PipetaskError:
            return self.directory.facts.batch_system

    def by_id(self, id: int) -> JournaledQuantum | None:
        """Return the quantum with an id."""
        return self._by_id.get(id)

    def failed(self) -> Iterator[KnownQuantum]:
        """Yield the quanta that have failed."""
        names = {number: name for _, number, name in self._homes.values()}
        for record in self._ledger.nodes():
            for outcome in record.outcomes():
                if outcome.status.is_failure and (quantum := self.by_id(outcome.id)) is not None:
                    yield KnownQuantum(quantum, outcome, node=names[record.number])


def _is_over(directory: RunDirectory) -> bool:
    """Return whether a run has ended that may have no summary: it was cancelled, or has no repository."""
    try:
        return system_of(directory).watch(directory).phase().over
    except PipetaskError:  # its batch system is not installed here
        return False


def open_book(found: RunDirectory | Path) -> LocalBook | BatchBook:
    """Return the book of a run that `find_run` has found."""
    return BatchBook(found) if isinstance(found, RunDirectory) else LocalBook(found)
