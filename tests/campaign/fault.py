"""What a fault is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

from campaign.case import Case
from campaign.command import Command
from campaign.models import Model

__all__ = ["Fault", "Need", "Where"]


class Need(enum.Enum):
    """What a fault needs of an execution model."""

    WORKERS = "workers"
    FORK_SERVER = "a fork server"
    IN_PROCESS = "no workers"
    REGISTRY = "a registry that is written to during the run"
    RUN = "that all is one command"
    SUMMARY = "a summary of the disturbed command"


class Where(enum.Enum):
    """Where operations are disturbed."""

    DATABASE = "database"
    DATASTORE = "datastore"
    SUMMARY = "summary"
    TEMPORARY = "temporary folder"

    @property
    def needs(self) -> set[Need]:
        """What an execution model must have for anything to be done there."""
        match self:
            case Where.DATABASE:
                return {Need.REGISTRY}
            case Where.SUMMARY:
                return {Need.SUMMARY}
            case Where.TEMPORARY:
                return {Need.WORKERS}
        return set()

    def of(self, case: Case) -> Path:
        """Return what paths there begin with."""
        match self:
            case Where.DATABASE:
                return case.root / "gen3.sqlite3"
            case Where.DATASTORE:
                return case.root / "u"
            case Where.SUMMARY:
                path = Path(case.summary_prefix)  # it is written beside its place
                return path.with_name(f".{path.name}")
            case Where.TEMPORARY:
                return case.temporary


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with a run; this one does not."""

    done: bool = field(default=False, kw_only=True)
    """Whether the disturbed command must do everything all the same."""
    fails: bool = field(default=False, kw_only=True)
    """Whether a failed task leaves outputs, which are in the way until the user says that they may go."""

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return set()

    @property
    def kills(self) -> bool:
        """Whether no process may be left that could delete temporary files."""
        return False

    @property
    def spoils_summary(self) -> bool:
        """Whether the summary itself may be missing."""
        return False

    @property
    def spoils_the_past(self) -> bool:
        """Whether what was done when the command ended may be undone, so that it is repeated in any case."""
        return False

    def suits(self, model: Model) -> bool:
        """Return whether it can happen to a model."""
        has = {
            Need.WORKERS: model.workers,
            Need.FORK_SERVER: model.fork_server,
            Need.IN_PROCESS: not model.workers,
            Need.REGISTRY: model.writes_registry,
            Need.RUN: model.one_command,
            Need.SUMMARY: model.writes_summary,
        }
        return all(has[need] for need in self.needs)

    def prepare(self, case: Case) -> None:
        """Do what has to be done before the command starts."""

    def start(self, case: Case) -> Command:
        """Start the command that is disturbed."""
        return case.start([*case.plan.disturbed, *case.more])

    def disturb(self, case: Case, command: Command) -> None:
        """Disturb the command while it runs."""

    def struck(self, case: Case) -> bool:
        """Return whether it has happened to anything."""
        return case.struck

    def heal(self, case: Case) -> None:
        """Make good what is not the command's to make good, before it is repeated."""

    def code_is_true(self, code: int) -> bool:
        """Return whether the disturbed command may end so."""
        return code in (0, 1)
