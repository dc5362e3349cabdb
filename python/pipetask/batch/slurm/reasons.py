"""What to do about a job that will not start by itself, by the reason that Slurm gives.

Reasons are those of Slurm's page on job reason codes, and sentences that Slurm writes instead of these.  What passes by
itself, such as ``Priority``, ``Resources`` and the limits on jobs that run at a time, is not among them.
"""

from __future__ import annotations

import re

__all__ = ["ADVICE", "advice_on"]

_CHANGE = "it asks for what it may not have: pipetask cancel, change slurm/slurm.yaml, and pipetask restart"

ADVICE = {
    "JobHeldUser": "let it start with: scontrol release {id}",
    "JobHeldAdmin": "only an administrator can release it: ask those who run Slurm",
    "launch failed requeued held|JobHoldMaxRequeue": (
        "a machine could not start it, which those who run Slurm should know; try again with: scontrol release {id}"
    ),
    "DependencyNeverSatisfied": (
        "what it waits for has failed; let it start with: scontrol update jobid={id} dependency="
    ),
    "InvalidAccount|AccountNotAllowed|InvalidQOS|QOSNotAllowed|BadConstraints|MaxMemPerLimit": _CHANGE,
    r"PartitionTimeLimit|PartitionConfig|(Assoc|QOS)Max\w+Per(Job|Node)(Limit)?": _CHANGE,
    ".*(held|special exit).*|ReservationDeleted": "if its cause is gone, let it start with: scontrol release {id}",
}
"""By pattern of the reason, the first that fits; ``{id}`` is what commands call the job."""


def advice_on(reason: str, id: str) -> str | None:
    """Return what to do about a job that waits; `None` if it will start by itself.

    Parameters
    ----------
    reason
        Why it waits, as the queue says.
    id
        What commands call the job.
    """
    for pattern, advice in ADVICE.items():
        if re.fullmatch(pattern, reason, re.IGNORECASE):
            return advice.format(id=id)
    return None
