"""`pipetask log`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import PipetaskError, UsageError, one_line
from ..monitor.book import Book, KnownQuantum, open_book
from ..monitor.find import find_run
from ..monitor.selection import QuantumSelection
from ..options.commands.watch import LogCommand
from ..text import visible
from .command import Invocation
from .logs import configure_logging

if TYPE_CHECKING:
    from ..monitor.quantum_log import FoundLog

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Print the log of a quantum, or those of all that have failed."""
    options: LogCommand = invocation.options
    if options.failed == bool(options.quantum):
        raise UsageError("name a quantum, or give --failed, and not both.")
    configure_logging(invocation.logs)
    book = open_book(find_run(options.run))
    if not options.failed:
        known = book.find(QuantumSelection.parse(options.quantum))
        return _print(book, [known], as_json=options.as_json, heading=False)
    return _print(book, list(book.failed()), as_json=options.as_json, heading=True)


def _print(book: Book, quanta: list[KnownQuantum], *, as_json: bool, heading: bool) -> int:
    """Print logs; return 1 if one was not found."""
    if not quanta:
        print(f"No quantum of {book.name} has failed.", file=sys.stderr)
    missing, found = 0, []
    for known, log in _logs(book, quanta):
        if isinstance(log, PipetaskError):
            if not heading:
                raise log
            missing += 1
            print(f"pipetask: {log}", file=sys.stderr)
        elif as_json:
            found.append(_json(known, log))
        else:
            print(f"{known.quantum.describe()}: {visible(log.place)}", file=sys.stderr)
            sys.stdout.write(_for_terminal(log.text) if sys.stdout.isatty() else log.text)
            sys.stdout.flush()
    if as_json:
        print(json.dumps(found if heading else found[0], indent=2, default=str))
    return 1 if missing else 0


def _logs(book: Book, quanta: list[KnownQuantum]) -> Iterator[tuple[KnownQuantum, FoundLog | PipetaskError]]:
    from ..monitor.quantum_log import find_log

    for known in quanta:
        try:
            yield known, find_log(book, known)
        except PipetaskError as error:
            yield known, error
        except Exception as error:  # one that cannot be read is no reason not to show the others
            yield (
                known,
                PipetaskError(f"The log of {known.quantum.describe()} cannot be read: {one_line(error)}"),
            )


def _json(known: KnownQuantum, log: FoundLog) -> dict[str, object]:
    quantum = known.quantum
    return {
        "label": quantum.label,
        "dataId": dict(quantum.data_id),
        "quantumId": str(quantum.quantum_id),
        "place": log.place,
        "records": log.records,
        "text": None if log.records is not None else log.text,
    }


def _for_terminal(text: str) -> str:
    """Return a log whose control characters cannot do anything."""
    return "".join(f"{visible(line.expandtabs())}\n" for line in text.splitlines())
