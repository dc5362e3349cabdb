"""Options of the commands that set up."""

from __future__ import annotations

from dataclasses import dataclass

from ..declaration import argument, option

__all__ = ["CompletionCommand", "DemoCommand"]


@dataclass(frozen=True, kw_only=True)
class CompletionCommand:
    """Print a script for shell completion of commands, options, task labels and file names.

    For bash, add this line to ~/.bashrc: eval "$(pipetask completion bash)".  For zsh, the same with zsh and ~/.zshrc.
    For fish, add to ~/.config/fish/config.fish: pipetask completion fish | source
    """

    shell: str = argument("Shell: bash, zsh or fish.", choices=("bash", "zsh", "fish"))


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Create a small sky survey in DIR, process it, and find its variable star.

    Simulates CCD exposures of one star field, creates a butler repository, builds a quantum graph, executes it, and
    prints the result.  DIR must be empty or not exist.
    """

    dir: str = argument("Folder to create.", complete="folders")
    processes: int = option(
        "-j", "--processes", metavar="N", default=2, minimum=1, help="Number of worker processes."
    )
