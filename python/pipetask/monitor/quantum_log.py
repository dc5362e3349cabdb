"""Find and read the log of a quantum: stored, of a killed attempt, or of one that runs right now."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import PipetaskError
from .book import BatchBook, Book, KnownQuantum

__all__ = ["FoundLog", "find_log"]


@dataclass(frozen=True)
class FoundLog:
    """A log."""

    place: str
    """Where it was found."""

    text: str
    """As a person reads it."""

    records: list[dict[str, Any]] | None = None
    """As the task's process wrote it; `None` if there is only text."""

    def with_traceback(self, known: KnownQuantum) -> FoundLog:
        """Return the log with the traceback of a failure, which the stored log lacks."""
        error = known.outcome.error if known.outcome is not None else None
        if error is None or not error.traceback or error.traceback.strip() in self.text:
            return self
        return replace(self, text=f"{self.text.rstrip()}\n{error.traceback.rstrip()}\n")


def find_log(book: Book, known: KnownQuantum) -> FoundLog:
    """Return the log of the last attempt at a quantum.

    Parameters
    ----------
    book
        The run.
    known
        The quantum.

    Raises
    ------
    PipetaskError
        If there is none, with the reason and where to look.
    """
    tried: list[str] = []
    for source in (_of_running, _named_in_outcome, _stored, _of_job):
        try:
            if (found := source(book, known)) is not None:
                return found.with_traceback(known)
        except (OSError, PipetaskError, ValueError) as error:
            tried.append(str(error))
    raise PipetaskError(f"{known.quantum.describe()} has no log: {_why(book, known)}{_tried(tried)}")


def _why(book: Book, known: KnownQuantum) -> str:
    if known.started is not None and not book.alive:
        return "it ran when the run ended without a word, and what it had logged is lost."
    if known.started is not None:
        where = f"process {known.started.pid} on {known.started.host}"
        return f"it runs now ({where}), and its log can be read on that host only, and only if it is in a worker."
    if known.outcome is None:
        return "it has not ended." if book.alive else "it was never started, as far as is known."
    return (
        f"it is {known.outcome.status.value}{f' ({known.outcome.reason})' if known.outcome.reason else ''}."
    )


def _tried(reasons: list[str]) -> str:
    return f"  {' '.join(reasons)}" if reasons else ""


def _of_running(book: Book, known: KnownQuantum) -> FoundLog | None:
    """Read what a worker of this host logs at this moment: the file that it keeps open for the case that it dies."""
    started = known.started
    if started is None or started.pid is None or started.host != socket.gethostname():
        return None
    with suppress(FileNotFoundError):  # it has just ended
        return _kept_open(Path(f"/proc/{started.pid}/fd"))
    return None


def _kept_open(descriptors: Path) -> FoundLog | None:
    for link in descriptors.iterdir():
        with suppress(OSError):
            target = link.readlink()
            if target.name.startswith("worker-") and target.parent.name.startswith("pipetask-"):
                return FoundLog(str(target), target.read_text(errors="replace"))
    return None


def _named_in_outcome(book: Book, known: KnownQuantum) -> FoundLog | None:
    if known.outcome is None or known.outcome.log is None:
        return None
    path = Path(known.outcome.log)
    return _read(str(path), path.read_bytes())


def _stored(book: Book, known: KnownQuantum) -> FoundLog | None:
    """Read the log dataset; without the graph, which a run that has built it may not keep, the registry finds it."""
    if book.repository is None:
        return None
    try:
        return _in_datastore(book, book.repository, known)
    except PipetaskError:
        if (found := _registered(book, book.repository, known)) is not None:
            return found
        raise


def _registered(book: Book, repository: str, known: KnownQuantum) -> FoundLog | None:
    from lsst.daf.butler import ButlerUserError
    from lsst.pipe.base.automatic_connection_constants import LOG_OUTPUT_TEMPLATE

    from ..repository.access import open_repository

    name = LOG_OUTPUT_TEMPLATE.format(label=known.quantum.label)
    missing = suppress(ButlerUserError)  # there is no such dataset type or collection
    with open_repository(repository, writeable=False) as butler, missing:
        ref = butler.find_dataset(name, known.quantum.data_id, collections=[book.name])
        if ref is not None and (uri := butler.getURI(ref)).exists():
            return _read(str(uri), uri.read())
    return None


def _in_datastore(book: Book, repository: str, known: KnownQuantum) -> FoundLog | None:
    """Read the log where the datastore keeps it, whether or not it has been registered yet."""
    from ..repository.access import open_datastore
    from ..storage.files import uris_of

    with book.open_graph() as file:
        task = file.task_node(known.quantum.label)
        if task.log_output is None:
            return None
        quantum = file.quantum(known.quantum.quantum_id)
        refs = quantum.outputs[task.log_output.dataset_type_name]
        with open_datastore(repository, file, writeable=False) as butler:
            for uris in uris_of(butler._datastore, refs).values():
                for uri in uris:
                    if uri.exists():
                        return _read(str(uri), uri.read())
    return None


def _of_job(book: Book, known: KnownQuantum) -> FoundLog | None:
    """Return what the jobs of its node have written to standard error, newest first."""
    if not isinstance(book, BatchBook) or known.node is None:
        return None
    paths = list((book.directory.path / "logs").glob(f"{known.node}.*.err"))
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        if text := path.read_text(errors="replace"):
            return FoundLog(f"{path} (of its job {known.node})", text)
    return None


def _read(place: str, content: bytes) -> FoundLog:
    """Read records, or text if it is none."""
    text = content.decode(errors="replace")
    try:
        records = list(_records(text))
    except (ValueError, TypeError, AttributeError):
        return FoundLog(place, text)
    return FoundLog(place, "".join(map(_line, records)), records)


def _records(text: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a butler log: a JSON list, an object that has one, or an object in each line."""
    try:
        content = json.loads(text)
    except ValueError:
        content = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        if not content:
            raise
    if isinstance(content, dict):
        content = content.get("records", [content])
    for record in content:
        if "message" in record:
            yield record


def _line(record: dict[str, Any]) -> str:
    line = f"{record.get('asctime', '')} {record.get('levelname', '')} {record.get('name', '')}: {record['message']}\n"
    trace = record.get("exc_info")
    return f"{line}{trace.rstrip()}\n" if isinstance(trace, str) and trace else line
