"""What a program is told when Ctrl-C, or the interruption of a notebook's kernel, has ended a run."""

from __future__ import annotations

import signal

from ..observe.summary import RunSummary

__all__ = ["RunInterrupted", "raise_if_interrupted"]


class RunInterrupted(KeyboardInterrupt):
    """Raised when a run was interrupted by SIGINT, after what was finished has been registered.

    It is a `KeyboardInterrupt`, so that a notebook does not run its next cells.

    Attributes
    ----------
    summary
        The `~pipetask.observe.summary.RunSummary` of the run: what had ended before, and what was cancelled.
    """

    def __init__(self, summary: RunSummary):
        done = sum(number for status, number in summary.total.items() if status.unblocks)
        super().__init__(
            f"the run was interrupted; {done} of {len(summary.outcomes)} quanta are done, and stay so: the attribute "
            "'summary' of this exception has all outcomes, and the same call goes on (with extend_run=True, if it "
            "registers outputs)"
        )
        self.summary = summary


def raise_if_interrupted(summary: RunSummary) -> RunSummary:
    """Return a summary, unless the run was interrupted by SIGINT.

    Raises
    ------
    RunInterrupted
        If it was.
    """
    if summary.signal == signal.SIGINT:
        raise RunInterrupted(summary)
    return summary
