"""`pipetask cancel`."""

from __future__ import annotations

import json
import sys

from ..batch.exit_codes import ExitCode
from ..batch.names import FINAL
from ..batch.run_directory import RunDirectory
from ..batch.status import RunPhase
from ..batch.systems import system_of
from ..errors import PipetaskError
from ..options.commands.batch import CancelCommand
from ..outcome import Kind, Status
from .command import Invocation
from .run_node import final_step

__all__ = ["registered_quanta", "run"]


def run(invocation: Invocation) -> int:
    """Cancel a run, and make sure that finished quanta are registered."""
    from ..execution.continuation import release

    options: CancelCommand = invocation.options
    directory = RunDirectory(options.run_dir)
    system = system_of(directory)
    cancelled = system.cancel(directory)
    recipe = directory.recipe()
    submitted = system.watch(directory).phase() is not RunPhase.WRITTEN
    begun = submitted and directory.is_ready(recipe)
    unregistered = recipe.later is not None and begun and not directory.summary.exists()
    if unregistered:
        _register(directory)
    # Registration also releases the output run.
    released = not unregistered and recipe.later is not None and release(recipe.later, directory.facts.id)
    if cancelled or unregistered:
        print(_what_was_done(directory, cancelled=cancelled), file=sys.stderr)
        return 0
    left = "its output run is free again" if released else "there is nothing to cancel"
    print(f"{directory.path} is not in the queue: {left}.", file=sys.stderr)
    return 0 if released else 1


def _what_was_done(directory: RunDirectory, *, cancelled: bool) -> str:
    what = "Cancelled" if cancelled else "It was not in the queue any more"
    if directory.summary.exists():
        done, total = registered_quanta(directory)
        what += f"; {done} of {total} quanta are done and registered"
    elif directory.facts.repository:
        what += "; nothing had begun"
    return f"{what}.  To go on with it: pipetask restart {directory.path}"


def _register(directory: RunDirectory) -> None:
    """Register finished quanta if the batch system has lost or holds the final job."""
    print("The final job has not registered what is done; it is registered here.", file=sys.stderr)
    if final_step(directory) == ExitCode.INFRASTRUCTURE or not directory.summary.exists():
        raise PipetaskError(
            f"What is done has not been registered (see above): put that right, and use: pipetask run-node "
            f"{directory.path} {FINAL}"
        )


def registered_quanta(directory: RunDirectory) -> tuple[int, int]:
    """Return how many quanta are done and registered, and how many there are, from the summary.

    Parameters
    ----------
    directory
        A run whose summary has been written.
    """
    counts = json.loads(directory.summary.read_text())["counts"].values()
    numbers = [(word, number) for words in counts for word, number in words.items()]
    good = {status.value for status in Status if status.kind is Kind.DONE}
    return sum(number for word, number in numbers if word in good), sum(number for _, number in numbers)
