"""Let HTCondor itself say whether it takes a submit description, before anything is submitted."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ...errors import PipetaskError
from .submit_description import description

__all__ = ["rehearse"]


def rehearse(name: str, commands: Mapping[str, str]) -> None:
    """Refuse submit commands that ``condor_submit`` would not take, where it is installed.

    Parameters
    ----------
    name
        What the jobs are called.
    commands
        The commands; what differs between nodes is left empty.

    Raises
    ------
    PipetaskError
        With what HTCondor says.
    """
    program = shutil.which("condor_submit")
    if program is None:
        return
    with TemporaryDirectory(prefix="pipetask-") as folder:
        # The run directory need not exist yet.
        lines = description({**commands, "initialdir": folder})
        file = Path(folder, "jobs.sub")
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        Path(folder, "logs").mkdir()
        words = [program, "-dry-run", "/dev/null", str(file)]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = " ".join(f"{done.stdout} {done.stderr}".partition("ERROR: ")[2].split())
        raise PipetaskError(
            f"HTCondor does not take the settings for jobs of {name} ({said or 'it does not say why'}): correct them "
            "(--condor, --condor-config)."
        )
