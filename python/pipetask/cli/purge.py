"""`pipetask purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..options.commands.removal import PurgeCommand
from .command import Invocation
from .logs import configure_logging
from .removal import confirm_and_remove

if TYPE_CHECKING:
    from ..repository.removal import RemovalPlan

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Remove a chain and the collections in it."""
    options: PurgeCommand = invocation.options
    configure_logging(invocation.logs)
    from ..repository.removal import Purge

    removal = Purge(options.collection, options.recursive)
    return confirm_and_remove(options.repository.butler_config, removal, _rows, ask=options.confirm.confirm)


def _rows(plan: RemovalPlan) -> dict[str, tuple[str, ...]]:
    return {"runs": plan.runs, "chains": plan.chains, "others": plan.others}
