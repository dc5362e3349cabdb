"""`pipetask cleanup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..options.commands.removal import CleanupCommand
from .command import Invocation
from .logs import configure_logging
from .removal import confirm_and_remove

if TYPE_CHECKING:
    from ..repository.removal import RemovalPlan

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Remove collections that are no longer in a chain."""
    options: CleanupCommand = invocation.options
    configure_logging(invocation.logs)
    from ..repository.removal import Cleanup

    removal = Cleanup(options.collection)
    return confirm_and_remove(options.repository.butler_config, removal, _rows, ask=options.confirm.confirm)


def _rows(plan: RemovalPlan) -> dict[str, tuple[str, ...]]:
    return {"runs": plan.runs, "others": tuple(sorted((*plan.chains, *plan.others)))}
