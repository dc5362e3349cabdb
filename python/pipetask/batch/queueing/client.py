"""Calls the commands of a queueing system, with a time-out, and in an environment without its variables.

A job has variables that these commands take for options, and a user's shell may have some, too.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import PipetaskError

__all__ = ["Client", "QueueLimitError", "QueueUnknownError"]


class QueueUnknownError(PipetaskError):
    """The system does not answer, so that nothing is known: a request may have been carried out."""


class QueueLimitError(PipetaskError):
    """The system takes no more jobs at the moment."""


@dataclass(frozen=True)
class Client:
    """Calls the commands of one queueing system."""

    title: str
    """What messages call it."""

    dropped: tuple[str, ...]
    """How the names of its variables begin."""

    kept: tuple[str, ...]
    """Those that say where it is, and are kept."""

    no_answer: re.Pattern[str]
    """What commands say if it does not answer."""

    limit: re.Pattern[str]
    """What they say if it takes no more jobs at the moment."""

    def scrubbed(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return environment variables without those that its commands take for options."""
        return {
            name: text
            for name, text in environ.items()
            if name in self.kept or not name.startswith(self.dropped)
        }

    def call(
        self,
        program: str,
        words: Sequence[str],
        *,
        patience: float,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> str:
        """Run a command, and return what it prints.

        Parameters
        ----------
        program
            Its name.
        words
            Its arguments.
        patience
            Seconds that it may take.
        environment
            Environment variables; by default those of this process.  Those of the system are left out.
        folder
            Where to run it; here by default.

        Raises
        ------
        QueueUnknownError
            If the system does not answer.
        QueueLimitError
            If the system takes no more jobs at the moment.
        PipetaskError
            If the command is not installed, or if the system refuses.
        """
        path = shutil.which(program)
        if path is None:
            raise PipetaskError(
                f"{self.title}'s command {program} is not on PATH: call pipetask where jobs can be submitted."
            )
        variables = self.scrubbed(os.environ if environment is None else environment)
        variables |= {name: os.environ[name] for name in self.kept if name in os.environ}
        try:
            done = subprocess.run(
                [path, *words],
                env=variables,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else ""
            if self.limit.search(said):
                raise QueueLimitError(self._full(said)) from error
            raise QueueUnknownError(
                f"{self.title} does not answer ({program} took more than {patience:.0f} s): try again later."
            ) from error
        if done.returncode == 0:
            return done.stdout
        if done.returncode < 0:
            raise self._killed(program, -done.returncode)
        raise self._error(program, done.stderr or done.stdout, done.returncode)

    def _killed(self, program: str, number: int) -> PipetaskError:
        what = f"{self.title}'s command {program} was ended by {signal.Signals(number).name}"
        if number == signal.SIGINT:  # Ctrl-C, which ends this command, too
            return PipetaskError(f"{what}.")
        return QueueUnknownError(f"{what}, and may have had an effect before: try again later.")

    def _error(self, program: str, said: str, code: int) -> PipetaskError:
        if self.no_answer.search(said):
            return QueueUnknownError(
                f"{self.title} does not answer ({program}: {_line(said)}): try again later."
            )
        if self.limit.search(said):
            return QueueLimitError(self._full(said))
        return PipetaskError(f"{self.title} refuses ({program}: {_line(said) or f'exit code {code}'}).")

    def _full(self, said: str) -> str:
        return f"{self.title} takes no more jobs ({_line(said)}): try again later."


def _line(said: str) -> str:
    """Return what a command says in one line, without its own name."""
    lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line.strip()) for line in said.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))[:300]
