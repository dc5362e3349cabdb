"""In what environment worker processes start, and how an engine's worker starts them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..pool.interpreter import Interpreter
from .code_package import CodePackage

__all__ = ["USUAL", "Environment"]

_SETUP = '{{\n{}\n}} >&2 || exit\nexec "$@"'
"""For bash: a set-up line that has failed starts nothing, and what it prints is no output of the run."""


@dataclass(frozen=True)
class Environment:
    """What the settings of an engine say about worker processes; it travels with each bundle."""

    python: str | None = None
    container: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    setup: str | None = None
    code: CodePackage | None = None

    @property
    def is_usual(self) -> bool:
        """Whether it is that of the engine's worker, except for variables."""
        return not (self.python or self.container or self.setup or self.code)

    def interpreter(
        self, folders: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> Interpreter:
        """Return how a worker process is started.

        Parameters
        ----------
        folders
            Folders of the code package on this machine.
        variables
            Environment variables, with those that are set here.
        """
        prefix = self.container
        if prefix and variables:  # a container may have none of those with which it is started
            prefix = (*prefix, "env", *(f"{name}={value}" for name, value in variables.items()))
        if self.setup:
            prefix = (*prefix, "bash", "-c", _SETUP.format(self.setup), "bash")
        python = self.python or ("python" if prefix else None)
        return Interpreter(prefix, python, tuple(folders), inherits=not self.container)

    def variables_over(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return environment variables, with those that are set here."""
        return {**variables, **dict(self.variables)}


USUAL = Environment()
"""That of the engine's worker."""
