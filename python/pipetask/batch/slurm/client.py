"""How Slurm's commands are called."""

from __future__ import annotations

import re

from ..queueing.client import Client

__all__ = ["CLIENT"]

CLIENT = Client(
    title="Slurm",
    dropped=("SLURM", "SBATCH", "SRUN", "SALLOC", "SQUEUE", "SCONTROL", "SCANCEL", "SACCT"),
    kept=("SLURM_CONF",),
    no_answer=re.compile(
        r"Unable to contact slurm controller|Socket timed out|Zero Bytes were transmitted|connect failure|"
        r"Connection refused|standby mode|Communication connection failure|Unexpected message received|"
        r"Message receive failure|Could not establish a configuration source",
        re.IGNORECASE,
    ),
    limit=re.compile(
        r"SubmitJob\w*Limit|Job violates accounting/QOS policy|Resource temporarily unavailable|"
        r"temporarily unable to accept job|MaxSubmit",
        re.IGNORECASE,
    ),
)
