"""Programs of Slurm in wrappers that do something else on the way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["wrap"]


def wrap(folder: Path, text: str, *programs: str) -> str:
    """Put wrappers around programs, and return the PATH on which they come first.

    Parameters
    ----------
    folder
        Where they are written.
    text
        The shell script of each; ``{real}`` is the program, and ``{notes}`` the folder.
    programs
        Their names.
    """
    folder.mkdir(exist_ok=True)
    for program in programs:
        path = folder / program
        path.write_text(text.format(real=shutil.which(program), notes=folder))
        path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
