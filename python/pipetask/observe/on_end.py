"""Call a command of the user's at the end of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..errors import one_line
from ..executors.stop import StopRequest
from ..executors.stop_signals import stop_on_signals
from ..options.records import RecordOptions
from ..text import visible
from .sink import Sink
from .summary import RunSummary
from .verdict import verdict

__all__ = ["call_at_end", "end_variables", "tell_end"]

TIME_LIMIT = 60.0
"""Seconds that the command may take."""

_TICK = 0.1
"""Seconds between two looks whether it is to be stopped."""

_LONGEST = 2000
"""Number of characters that are kept of a message: the kernel limits the size of variables."""

_FILES = ("summary", "report")
"""Kinds of files that have a variable."""


def tell_end(
    records: RecordOptions, summary: RunSummary, sinks: Sequence[Sink], run_directory: str | None = None
) -> None:
    """Call the command of ``--on-end``, if there is one.

    Call this last: when the sinks are done, the output run is free, and everything is printed.

    Parameters
    ----------
    records
        The options.
    summary
        The summary of the run.
    sinks
        Its sinks, which know what files they have written.
    run_directory
        The run directory of a batch run.
    """
    if records.on_end is not None:
        call_at_end(records.on_end, end_variables(summary, sinks, run_directory))


def end_variables(
    summary: RunSummary, sinks: Sequence[Sink], run_directory: str | None = None
) -> dict[str, str | None]:
    """Return the environment variables that describe the end of a run; `None` for those to be removed.

    Parameters
    ----------
    summary, sinks, run_directory
        As for `tell_end`.
    """
    word, sentence = verdict(summary)
    files = {kind: path for sink in sinks for kind, path in sink.files().items()}
    variables = {
        "VERDICT": word,
        "EXIT_CODE": str(summary.exit_code),
        "MESSAGE": visible(sentence)[:_LONGEST],
        "OUTPUT_RUN": getattr(summary.header, "output_run", None),
        "RUN_DIR": run_directory,
        **{kind.upper(): files.get(kind) for kind in _FILES},
    }
    return {f"PIPETASK_{name}": value for name, value in variables.items()}


def call_at_end(command: str, variables: Mapping[str, str | None], limit: float = TIME_LIMIT) -> None:
    """Run a command in a shell, and print one line if it fails; nothing else depends on it.

    Parameters
    ----------
    command
        Text for ``/bin/sh``.  What it prints goes to standard error.
    variables
        Environment variables to set, or to remove where the value is `None`.
    limit
        Seconds after which it is killed.
    """
    try:
        complaint = _call(command, variables, limit)
    except (OSError, ValueError) as error:
        complaint = f"could not be started: {one_line(error)}"
    if complaint is not None:
        line = f"pipetask: the command of --on-end {complaint.rstrip('.')}; the run is not affected."
        print(visible(line), file=sys.stderr, flush=True)


def _call(command: str, variables: Mapping[str, str | None], limit: float) -> str | None:
    """Run a command; return what went wrong."""
    changed = {**os.environ, **variables}
    sys.stderr.flush()
    with (
        stop_on_signals() as stop
    ):  # no signal raises anything from here on, so the command cannot be left behind
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=2,
            env={name: value for name, value in changed.items() if value is not None},
            process_group=0,  # so that it can be killed with all that it starts
        )
        try:
            return _complaint(process, stop, limit)
        finally:
            _kill(process)


def _complaint(process: subprocess.Popen[bytes], stop: StopRequest, limit: float) -> str | None:
    """Wait for a command, until a request to stop or the limit; return what went wrong."""
    deadline = time.monotonic() + limit
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(_TICK)
            if code < 0:
                names = {each.value: each.name for each in signal.Signals}
                return f"was killed by {names.get(-code, f'signal {-code}')}"
            return f"failed with exit code {code}" if code else None
        if stop:
            return "was interrupted and killed"
        if time.monotonic() >= deadline:
            return f"had not ended after {limit:g} s and was killed"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command that has not ended, with what it has started; leave alone what a finished one has."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
