"""Set up a process in which quanta run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsst.daf.butler.cli.cliLog import CliLog
from lsst.utils.threads import disable_implicit_threading

__all__ = ["limit_threads", "replay_logging"]


def replay_logging(state: Sequence[tuple[Any, ...]]) -> None:
    """Configure logging as the parent did.

    Parameters
    ----------
    state
        `CliLog.configState` of the parent; empty if it configured logging in its own way, and then messages of
        level INFO and up are captured, as by LSST's commands, and nothing is written to the terminal.
    """
    if state:
        CliLog.replayConfigState(list(state))
    else:
        CliLog.initLog(longlog=False, log_tty=False)


def limit_threads() -> None:
    """Keep libraries from starting threads of their own; the cores belong to the quanta."""
    disable_implicit_threading()
