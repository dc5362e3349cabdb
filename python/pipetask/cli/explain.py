"""`pipetask explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..monitor.book import open_book
from ..monitor.find import find_run
from ..monitor.selection import QuantumSelection
from ..options.commands.watch import ExplainCommand
from ..text import visible
from .command import Invocation
from .logs import configure_logging

if TYPE_CHECKING:
    from ..monitor.explain import Explanation
    from ..monitor.neighbours import DatasetsOfType

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Say why a quantum is in its state, or all that have failed."""
    from ..monitor.explain import explain

    options: ExplainCommand = invocation.options
    if options.failed == bool(options.quantum):
        raise UsageError("name a quantum, or give --failed, and not both.")
    configure_logging(invocation.logs)
    book = open_book(find_run(options.run))
    selection = None if options.failed else QuantumSelection.parse(options.quantum)
    with book.graph_kept_open():
        chosen = book.failed() if selection is None else [book.find(selection)]
        found = [explain(book, known) for known in chosen]
    if options.as_json:
        print(
            json.dumps(
                [e.json() for e in found] if options.failed else found[0].json(), indent=2, default=str
            )
        )
        return 0
    if not found:
        print(f"No quantum of {book.name} has failed.")
    for number, explanation in enumerate(found):
        print("" if number == 0 else "\n", end="")
        for line in _lines(explanation):
            print(visible(line))
    return 0


def _lines(explanation: Explanation) -> Iterator[str]:
    quantum = explanation.quantum
    yield f"{quantum.describe()}: {explanation.state}"
    yield f"  UUID {quantum.quantum_id}{f', node {explanation.node}' if explanation.node else ''}"
    for reason in explanation.reasons:
        yield f"  {reason}"
    if explanation.unknown is not None:
        yield f"  What it reads and writes is not known: {explanation.unknown}"
        return
    yield "reads"
    yield from (_line(each, "made by", "there before the run") for each in explanation.reads)
    yield "writes"
    yield from (_line(each, "used by", "used by no quantum") for each in explanation.writes)


def _line(each: DatasetsOfType, verb: str, otherwise: str) -> str:
    shown = "; ".join(each.data_ids)
    more = f"; and {each.count - len(each.data_ids)} more" if each.count > len(each.data_ids) else ""
    quanta = ", ".join(f"{name} ({number})" if number > 1 else name for name, number in each.quanta.items())
    return f"  {each.dataset_type} ({shown}{more}): {f'{verb} {quanta}' if quanta else otherwise}"
