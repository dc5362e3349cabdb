"""Calls Slurm's commands, with a time-out, and in an environment without Slurm's variables.

A job has variables that commands of Slurm take for options, and a user's shell may have some, too.  Only the path of
Slurm's configuration is kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from ...errors import PipetaskError

__all__ = ["SlurmLimitError", "SlurmUnknownError", "call", "scrubbed"]

_KEPT = "SLURM_CONF"
_SLURMS = ("SLURM", "SBATCH", "SRUN", "SALLOC", "SQUEUE", "SCONTROL", "SCANCEL", "SACCT")

_NO_ANSWER = re.compile(
    r"Unable to contact slurm controller|Socket timed out|Zero Bytes were transmitted|connect failure|"
    r"Connection refused|standby mode|Communication connection failure|Unexpected message received|"
    r"Message receive failure|Could not establish a configuration source",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"SubmitJob\w*Limit|Job violates accounting/QOS policy|Resource temporarily unavailable|"
    r"temporarily unable to accept job|MaxSubmit",
    re.IGNORECASE,
)


class SlurmUnknownError(PipetaskError):
    """Slurm does not answer, so that nothing is known: a request may have been carried out."""


class SlurmLimitError(PipetaskError):
    """Slurm takes no more jobs at the moment."""


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables without those that commands of Slurm take for options."""
    return {name: text for name, text in environ.items() if name == _KEPT or not name.startswith(_SLURMS)}


def call(
    program: str, words: Sequence[str], *, patience: float, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command of Slurm, and return what it prints.

    Parameters
    ----------
    program
        Its name.
    words
        Its arguments.
    patience
        Seconds that it may take.
    environment
        Environment variables; by default those of this process.  Those of Slurm are left out.

    Raises
    ------
    SlurmUnknownError
        If Slurm does not answer.
    SlurmLimitError
        If Slurm takes no more jobs at the moment.
    PipetaskError
        If the command is not installed, or if Slurm refuses.
    """
    path = shutil.which(program)
    if path is None:
        raise PipetaskError(
            f"Slurm's command {program} is not on PATH: call pipetask where jobs can be submitted."
        )
    variables = scrubbed(os.environ if environment is None else environment)
    if _KEPT in os.environ:
        variables[_KEPT] = os.environ[_KEPT]
    try:
        done = subprocess.run(
            [path, *words],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else ""
        if _LIMIT.search(said):
            raise SlurmLimitError(f"Slurm takes no more jobs ({_line(said)}): try again later.") from error
        raise SlurmUnknownError(
            f"Slurm does not answer ({program} took more than {patience:.0f} s): try again later."
        ) from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr or done.stdout
    if _NO_ANSWER.search(said):
        raise SlurmUnknownError(f"Slurm does not answer ({program}: {_line(said)}): try again later.")
    if _LIMIT.search(said):
        raise SlurmLimitError(f"Slurm takes no more jobs ({_line(said)}): try again later.")
    raise PipetaskError(f"Slurm refuses ({program}: {_line(said) or f'exit code {done.returncode}'}).")


def _line(said: str) -> str:
    """Return what a command says in one line, without its own name."""
    lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line.strip()) for line in said.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))[:300]
