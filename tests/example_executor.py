"""The execution model that the user guide shows, here in a file so that tests run it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

from pipetask import ExecutionContext, Frontier, QuantumData, QuantumExecutor, QuantumOutcome, Traits, option


# [begin example]
class ReverseLabelExecutor(QuantumExecutor):
    """Runs quanta one at a time, and says which."""

    traits = Traits(in_process=True)

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        frontier = Frontier(quanta)
        with closing(context.runner.open()) as runner:
            while not context.stop and (quantum := frontier.take()) is not None:
                print(quantum.label[::-1], quantum.data_id)
                ticket = context.ticket(quantum)
                runner.load([ticket])
                outcome = runner.run(ticket)
                frontier.finish(outcome)
                context.note_failure(outcome)
                yield outcome
                yield from frontier.blocked()
        yield from frontier.cancel(context.stop.reason or "")


# [end example]


# [begin options]
@dataclass(frozen=True, kw_only=True)
class GreetingOptions:
    """Options of `GreetingExecutor`."""

    greeting: str = option(
        "--greeting", metavar="TEXT", default="Hello", help="Say TEXT before anything runs."
    )


class GreetingExecutor(ReverseLabelExecutor):
    """Says something first."""

    options_group = GreetingOptions

    def __init__(self, options: GreetingOptions | None = None):
        self._options = options or GreetingOptions()

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        print(self._options.greeting)
        yield from super().execute(quanta, context)


# [end options]
