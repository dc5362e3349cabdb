"""`pipetask cancel`."""

from __future__ import annotations

import json
import sys

from ..errors import PipetaskError
from ..executors.condor.control import cancel
from ..executors.condor.layout import Layout
from ..executors.delayed.node import ExitCode
from ..executors.delayed.run_directory import RunDirectory
from ..options.delayed_commands import CancelCommand
from ..outcome import Kind, Status
from .command import Invocation
from .run_node import final_step

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Cancel a run, and see to it that what has been done is registered."""
    options: CancelCommand = invocation.options
    directory = RunDirectory(options.run_dir)
    cancelled = cancel(directory)
    begun = Layout(directory.path).dagman_log.exists()
    unregistered = bool(directory.facts.repository) and begun and not directory.summary.exists()
    if not cancelled and not unregistered:
        later = directory.recipe().later
        if later is not None and later.release(directory.facts.id):
            print(
                f"{directory.path} is not in the queue; output run {later.output_run} is free again.",
                file=sys.stderr,
            )
            return 0
        print(f"{directory.path} is not in the queue: there is nothing to cancel.", file=sys.stderr)
        return 1
    if unregistered:
        _register(directory)
    what = "Cancelled" if cancelled else "It was not in the queue any more"
    if directory.facts.repository:
        done, total = _registered(directory)
        what += f"; {done} of {total} quanta are done and registered"
    print(f"{what}.  To go on with it: pipetask restart {directory.path}", file=sys.stderr)
    return 0


def _register(directory: RunDirectory) -> None:
    """Do what the final job could not: where DAGMan itself was lost, or held, there was none."""
    print("The final job has not registered what is done; it is registered here.", file=sys.stderr)
    if final_step(directory) == ExitCode.INFRASTRUCTURE or not directory.summary.exists():
        raise PipetaskError(
            f"What is done has not been registered (see above): put that right, and use: pipetask run-node "
            f"{directory.path} final"
        )


def _registered(directory: RunDirectory) -> tuple[int, int]:
    """Return how many quanta are done, and how many there are, from the summary."""
    counts = json.loads(directory.summary.read_text())["counts"].values()
    numbers = [(word, number) for words in counts for word, number in words.items()]
    good = {status.value for status in Status if status.kind is Kind.DONE}
    return sum(number for word, number in numbers if word in good), sum(number for _, number in numbers)
