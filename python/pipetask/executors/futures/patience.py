"""How long the first answer of an engine's worker may take, and what the user is told meanwhile."""

from __future__ import annotations

import logging
import time

from ...errors import PipetaskError, one_line
from .engine import Engine

__all__ = ["REMEDY", "Patience"]

_LOG = logging.getLogger(__name__)

LIMIT = 120.0
"""Seconds in which an engine must have started a worker that can answer."""

TELLING = 4.0
"""Seconds without an answer after which the user is told what is missing."""

STILLNESS = 30.0
"""Seconds after which the user is told that nothing answers, if nothing is known to be missing: imports can be slow."""

REMEDY = "Check the address, and that the engine runs and has workers."


class Patience:
    """Waits for the first answer.

    Parameters
    ----------
    engine
        The engine.
    option
        The option that has named it, for messages; `None` if none has.
    """

    def __init__(self, engine: Engine, option: str | None = None):
        self._engine = engine
        self._option = option
        self._since = time.monotonic()
        self._is_told = False

    def renew(self) -> None:
        """Begin again, because it is known why nothing answers."""
        self._since = time.monotonic()

    def look(self) -> None:
        """Tell the user once that nothing answers.

        Raises
        ------
        PipetaskError
            If that has taken too long.
        """
        waited = time.monotonic() - self._since
        if waited >= TELLING and not self._is_told:
            self._tell(self._missing(), waited)
        if waited >= LIMIT:
            missing = self._missing()
            remedy = REMEDY if missing is None else _sentence(missing)
            raise PipetaskError(f"No worker of the engine has answered in {LIMIT:.0f} s. {remedy}")

    def _tell(self, missing: str | None, waited: float) -> None:
        # Where workers are started here, there is nothing that the user could do.
        if missing is None and (self._engine.is_here or waited < STILLNESS):
            return
        self._is_told = True
        reason = "No worker of the engine has answered yet." if missing is None else _sentence(missing)
        where = "" if self._option is None else f"{self._option}: "
        _LOG.warning("%s%s Waiting for one, for up to %.0f s.", where, reason, LIMIT)

    def _missing(self) -> str | None:
        try:
            return self._engine.missing()
        except Exception as error:  # it may be unreachable at this moment
            _LOG.debug("What is missing cannot be asked: %s", one_line(error), exc_info=error)
            return None


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
