"""ClassAd expressions for when a job is started again, with how much memory, and when it is given up.

Exit codes (see `pipetask.batch.exit_codes.ExitCode`), signals and hold codes show what happened:

=============================  =========================================  ==============================
what happened                  how it shows                               what follows
=============================  =========================================  ==============================
it ran to its end              any exit code but 75 and 76                the node has succeeded, or failed
not the quantum's fault        exit code 75, a signal, an eviction        another start, up to a budget
its surroundings were broken   hold codes of `_RELEASABLE`                it is released, the same budget
out of memory                  exit code 76, hold code 34, a machine's    it is released and asks for more,
                               or the system's hold for "memory"          up to a limit
anything else                  any other hold                             it stays held, for a person
=============================  =========================================  ==============================

A segmentation fault is a signal, and never raises memory.

Parts of the expressions are attributes of the job, so that each is written once and can be looked at in the queue.
"""

from __future__ import annotations

from ..exit_codes import ExitCode
from .configuration import JobSettings

__all__ = ["MEMORY_HOLD", "ends_by_itself", "is_for_memory", "memory_request", "policy", "raised"]

MEMORY_HOLD = 34
"""HTCondor's hold code for too much memory, and the subcode of holds that we ask for."""

_RELEASABLE = (6, 7, 8, 9, 10, 11, 12, 13, 14, 18, 19, 22, 23, 28, 29, 31, 36, 45)
"""Hold codes for what may be right the next time: starting, opening files, transferring, credentials."""

# Of the job's own policy there are no other holds than those for memory; of the others one has to read the reason.
_COUNTED_FOR_MEMORY = (
    "(NumHoldsByReason.JobPolicy ?: 0) + (NumHoldsByReason.JobOutOfResources ?: 0) + "
    '(regexp("memory", LastHoldReason ?: "", "i") '
    "? (NumHoldsByReason.SystemPolicy ?: 0) + (NumHoldsByReason.StartdHeldJob ?: 0) : 0)"
)
_COUNTED_BY_POLICY = " + ".join(
    f"(NumHoldsByReason.{reason} ?: 0)"
    for reason in ("JobPolicy", "JobOutOfResources", "SystemPolicy", "StartdHeldJob")
)

# HTCondor counts a hold by policy as often as it looks while the job is being stopped.  So its counters say only that
# there was one, and not how many: it is told, when a job is matched, to write down how many times memory has run out
# until then, and what its counter stands at.  If that has moved on since, the attempt ended for want of memory.
_AT_MATCH = '"$$([PipetaskMemoryHolds]) $$([PipetaskCounted])"'
_THEN = 'split(regexp("^[0-9]", PipetaskAtMatch) ? PipetaskAtMatch : (MATCH_EXP_PipetaskAtMatch ?: "0 0"))'
_MEMORY_HOLDS = "int(PipetaskThen[0]) + (PipetaskCounted > int(PipetaskThen[1]) ? 1 : 0)"
_HELD_FOR_MEMORY = (
    f"JobStatus == 5 && (HoldReasonCode == {MEMORY_HOLD}"
    f" || (HoldReasonCode == 3 && HoldReasonSubCode == {MEMORY_HOLD})"
    ' || ((HoldReasonCode == 21 || HoldReasonCode == 26) && regexp("memory", HoldReason ?: "", "i")))'
)


def is_for_memory(code: int, subcode: int, reason: str) -> bool:
    """Return whether a hold is for want of memory."""
    return MEMORY_HOLD in (code, subcode) or (code in (21, 26) and "memory" in reason.lower())


def ends_by_itself(code: int, subcode: int, reason: str) -> bool:
    """Return whether the job's own policy ends a hold, by starting the job again or giving it up."""
    return code in _RELEASABLE or is_for_memory(code, subcode, reason)


def raised(settings: JobSettings, request: int) -> int:
    """Return the memory to ask for after a request was too small, in megabytes."""
    return min(settings.memory_limit, int(request * settings.memory_factor))


def memory_request(settings: JobSettings) -> str:
    """Return the expression for ``request_memory``."""
    if settings.universe == "local":  # it needs no slot, and so no expression that a slot could match
        return str(settings.request_memory)
    grown = f"PipetaskMemory * pow({settings.memory_factor}, PipetaskMemoryHolds)"
    return f"int(min({{{settings.memory_limit}, {grown}}}))"


def policy(settings: JobSettings) -> dict[str, str]:
    """Return submit commands for when a job is started again, held, released and given up.

    A node may begin with more memory than others of its kind: in the macro ``memory``.
    """
    # The number of releases of a local job is limited, too: it may start so many times only.
    grows = settings.memory_factor > 1 or settings.universe == "local"
    budget, exited = settings.retries, "ExitBySignal =?= false"
    starts = "(NumJobStarts ?: 0) - PipetaskMemoryHolds"
    holds = f"(NumHolds ?: 0) - ({_COUNTED_BY_POLICY})"
    patient = f"time() - EnteredCurrentStatus >= {settings.release_delay}"
    commands = {
        "My.PipetaskMemory": f"$(memory:{settings.request_memory})",
        **_memory_holds(settings),
        "My.PipetaskHeldForMemory": _HELD_FOR_MEMORY,
        "My.PipetaskCanGrow": f"(MemoryProvisioned ?: 0) < {settings.memory_limit}" if grows else "false",
        "My.PipetaskHeldByAccident": (
            f"JobStatus == 5 && member(HoldReasonCode, {{{', '.join(map(str, _RELEASABLE))}}})"
        ),
        "on_exit_hold": f"{exited} && ExitCode == {int(ExitCode.OUT_OF_MEMORY)}",
        "on_exit_hold_subcode": str(MEMORY_HOLD),
        "on_exit_hold_reason": '"out of memory"',
        "on_exit_remove": f"({exited} && ExitCode =!= {int(ExitCode.INFRASTRUCTURE)}) || {starts} > {budget}",
        "periodic_release": (
            "(PipetaskHeldForMemory && PipetaskCanGrow)"
            f" || (PipetaskHeldByAccident && {holds} <= {budget} && {patient})"
        ),
        "periodic_remove": (
            "(PipetaskHeldForMemory && !PipetaskCanGrow)"
            f" || (PipetaskHeldByAccident && {holds} > {budget}) || (JobStatus == 1 && {starts} > {budget})"
        ),
    }
    if settings.enforce_memory:
        commands |= {
            "periodic_hold": "JobStatus == 2 && (MemoryUsage ?: 0) > RequestMemory",
            "periodic_hold_subcode": str(MEMORY_HOLD),
            "periodic_hold_reason": '"more memory used than asked for"',
        }
    return commands


def _memory_holds(settings: JobSettings) -> dict[str, str]:
    """Return the attributes that count how often a job has been held for want of memory."""
    if settings.universe == "local":  # it is never matched
        return {"My.PipetaskMemoryHolds": "0"}
    return {
        "My.PipetaskCounted": _COUNTED_FOR_MEMORY,
        "My.PipetaskAtMatch": _AT_MATCH,  # in the job's own view; the queue keeps the answer as MATCH_EXP_...
        "My.PipetaskThen": _THEN,
        "My.PipetaskMemoryHolds": _MEMORY_HOLDS,
    }
