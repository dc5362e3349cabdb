"""Explain why a worker died."""

from __future__ import annotations

import signal
import socket
import time
from dataclasses import dataclass

from ...outcome import QuantumOutcome, Status
from .ending import Ending

__all__ = ["CUT_OFF", "Death", "explain_death"]

CUT_OFF = 90
"""Exit code of a worker whose task has closed the pipes between worker and foreman."""

_MORE_MEMORY = "give it more memory, or run fewer processes"

_CAUSES: dict[int, str] = {
    signal.SIGKILL: f"most likely the kernel's out-of-memory killer; {_MORE_MEMORY}",
    signal.SIGSEGV: "a crash in compiled code; the log has the Python stack",
    signal.SIGBUS: "a crash in compiled code, or a memory-mapped file that was cut short",
    signal.SIGABRT: "compiled code gave up (a failed assertion, or an uncaught C++ exception)",
    signal.SIGFPE: "an arithmetic error in compiled code",
    signal.SIGILL: "a library that was built for another processor",
    signal.SIGTERM: "another process asked it to end; a batch system does so at its time limit",
    signal.SIGXCPU: "the limit of processor time (ulimit -t)",
    signal.SIGXFSZ: "the limit of file size (ulimit -f)",
}


@dataclass(frozen=True)
class Death:
    """What is known of the death of a worker."""

    pid: int
    ending: Ending
    """How it ended, and what it has used."""

    log: str | None = None
    """Path of the log of the quantum that it ran."""

    out_of_memory: bool = False
    """Whether the kernel has killed a process because memory ran out, since this was last asked."""


def explain_death(
    id: int, doomed: Status | None, fault: str | None, death: Death, started: float
) -> QuantumOutcome:
    """Return the outcome of a quantum whose worker died while it ran.

    Parameters
    ----------
    id
        The quantum.
    doomed
        What the foreman has killed it for, if it has.
    fault
        What the worker did that it was killed for, for `Status.KILLED`.
    death
        How the worker died.
    started
        About when the quantum began, in seconds since 1970-01-01 UTC; the ending may have it exactly.
    """
    exit_code, out_of_memory = death.ending.exit_code, death.out_of_memory
    number = -exit_code if exit_code is not None and exit_code < 0 else None
    match doomed:
        case Status.TIMED_OUT:
            reason = "took longer than --timeout allows; killed with all that it had started"
        case Status.CANCELLED:
            reason = "did not stop when it was interrupted; killed"
        case Status.KILLED:
            reason = f"{fault}: it was killed, with all that it had started"
        case None if exit_code is None:
            reason = "its process died; the cause is not known, because the server that had started it was killed, too"
        case None if number == signal.SIGKILL and out_of_memory:
            reason = f"its process was killed by the kernel's out-of-memory killer: {_MORE_MEMORY}"
        case None if number is not None:
            cause = _CAUSES.get(number, "")
            reason = f"its process was killed by {_name(number)}" + (f": {cause}" if cause else "")
        case None if exit_code == CUT_OFF:
            reason = "the task has closed descriptors that are not its own: its process could not tell how it ended"
        case None:
            reason = f"its process ended itself with exit code {exit_code} in the middle of the task"
        case other:
            raise AssertionError(f"killed for {other!r}?")
    start, usage = death.ending.start_and_usage(id, started)
    return QuantumOutcome(
        id,
        doomed or Status.KILLED,
        start=start,
        end=time.time(),
        host=socket.gethostname(),
        pid=death.pid,
        usage=usage,
        signal=number,
        exit_code=exit_code if number is None else None,
        reason=reason,
        log=death.log,
        out_of_memory=out_of_memory and doomed is None and number == signal.SIGKILL,
    )


def _name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:  # only the first and the last of the real-time signals have a name
        name = f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return f"{name} ({signal.strsignal(number)})"
