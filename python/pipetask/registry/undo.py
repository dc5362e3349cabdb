"""Take back what was done to a registry when a later step fails."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["UndoLog"]

_LOG = logging.getLogger(__name__)


class UndoLog:
    """Remembers how to take back each step; as a context, takes all back if the block raises."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def add(self, what: str, step: Callable[[], object]) -> None:
        """Remember how to take back what is done next."""
        self._steps.append((what, step))

    def __enter__(self) -> UndoLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            return
        for what, step in reversed(self._steps):
            try:
                step()
            except Exception:
                _LOG.exception("Could not %s after an error.", what)
