"""Faults other than signals."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from campaign.case import Case
from campaign.command import Command, descendants
from campaign.fault import Fault, Need, Where
from campaign.shim import ALWAYS, Action, Operation
from campaign.signals import send

__all__ = [
    "BrokenOperations",
    "ClosedErrorStream",
    "DisturbedGraph",
    "FewOf",
    "GoneReader",
    "Lock",
    "OtherTemporaryFolder",
    "PowerCut",
    "Sabotage",
    "Twins",
]


@dataclass(frozen=True)
class Sabotage(Fault):
    """A task misbehaves."""

    acts: tuple[str, ...]
    only: tuple[Need, ...] = ()
    """What the execution model must have."""
    more: tuple[str, ...] = ()
    """More arguments for the command."""

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return set(self.only)

    @property
    def kills(self) -> bool:
        """Whether the task ends the only process there is."""
        return Need.IN_PROCESS in self.only

    @property
    def spoils_summary(self) -> bool:
        """Whether no process is left to write one."""
        return self.kills

    def prepare(self, case: Case) -> None:
        """Give the orders."""
        case.more += self.more
        case.clobber = self.fails
        case.saboteur = case.random.randint(1, case.shape.quanta)
        case.order(case.random.choice(self.acts), case.saboteur)

    def struck(self, case: Case) -> bool:
        """Return whether it has come to that quantum."""
        return case.has_begun(case.saboteur)

    def heal(self, case: Case) -> None:
        """Take the orders back."""
        case.order()

    def code_is_true(self, code: int) -> bool:
        """Return whether it is that of a failure, or of what the task did to the only process there was."""
        if self.acts == ("interrupt itself",) and code == 128 + signal.SIGINT:
            return True  # in the only process it is as if the user did it
        return code in (0, 1) or Need.IN_PROCESS in self.only


@dataclass(frozen=True)
class DisturbedGraph(Fault):
    """Somebody lays hands on the graph file while it is in use."""

    what: str

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return {Need.RUN}

    def disturb(self, case: Case, command: Command) -> None:
        """Do it."""
        case.struck = case.await_moment(command)
        kept = case.folder / "kept.qg"
        shutil.copy(case.graph, kept)
        match self.what:
            case "delete":
                case.graph.unlink()
            case "replace":
                other = case.folder / "other"
                other.write_bytes(b"another graph" * 1000)
                other.rename(case.graph)
            case "cut":
                os.truncate(case.graph, case.graph.stat().st_size // 3)

    def heal(self, case: Case) -> None:
        """Put the graph back."""
        (case.folder / "kept.qg").replace(case.graph)


@dataclass(frozen=True)
class BrokenOperations(Fault):
    """Operations fail or are disturbed otherwise, from the how-manieth on."""

    where: Where | None
    operations: Operation
    action: Action
    number: int
    most: int
    """The how-manieth is the first, at most."""
    once: bool = False
    """Whether that one alone is disturbed."""

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return self.where.needs if self.where else set()

    @property
    def spoils_summary(self) -> bool:
        """Whether the summary itself may be missing."""
        return self.where is Where.SUMMARY

    def prepare(self, case: Case) -> None:
        """Give the orders."""
        case.clobber = self.fails
        first = round(self.most ** case.random.random())
        prefix = self.where.of(case) if self.where else ""
        last = first if self.once else ALWAYS
        case.shim.disturb(self.operations, prefix, self.action, self.number, first=first, last=last)

    def struck(self, case: Case) -> bool:
        """Return whether it has come to that operation."""
        return case.shim.hits > 0

    def heal(self, case: Case) -> None:
        """Take the orders back."""
        case.shim.rest()

    def code_is_true(self, code: int) -> bool:
        """Return whether it is that of a run that came to its end; OpenBLAS, if it has no thread, sends SIGINT."""
        return code in (0, 1) or (
            Operation.PROCESS in self.operations and code in (-signal.SIGINT, 128 + signal.SIGINT)
        )


@dataclass(frozen=True)
class Lock(Fault):
    """Another program has the database for a while."""

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return {Need.REGISTRY}

    def disturb(self, case: Case, command: Command) -> None:
        """Hold the lock."""
        case.struck = case.await_moment(command)
        with closing(
            sqlite3.connect(case.root / "gen3.sqlite3", isolation_level=None, timeout=60)
        ) as database:
            database.execute("BEGIN IMMEDIATE")
            case.pause(command, case.random.uniform(0.2, 2.0))
            database.execute("ROLLBACK")


@dataclass(frozen=True)
class OtherTemporaryFolder(Fault):
    """The folder for temporary files is elsewhere."""

    name: str
    exists: bool = False

    def prepare(self, case: Case) -> None:
        """Name it in the environment."""
        folder = case.temporary / self.name
        if self.exists:
            folder.mkdir()
        case.surroundings.environment["TMPDIR"] = str(folder)

    def struck(self, case: Case) -> bool:
        """Return that it always does."""
        return True

    def heal(self, case: Case) -> None:
        """Name the usual one again."""
        if self.exists and not any(case.temporary.iterdir()):
            case.temporary.rmdir()
        case.surroundings.environment["TMPDIR"] = str(case.folder / "tmp")


@dataclass(frozen=True)
class PowerCut(Fault):
    """All processes end at once, and files that were not synced are empty.

    The database is taken to be as its own synchronisation has left it.
    """

    lies: bool = False
    """Whether the disk says that it has synced, and has not."""

    @property
    def kills(self) -> bool:
        """Whether no process may be left that could delete temporary files."""
        return True

    @property
    def spoils_the_past(self) -> bool:
        """Whether files that were not synced may be lost after the command has ended."""
        return True

    def prepare(self, case: Case) -> None:
        """Have a journal kept."""
        if self.lies:
            case.shim.disturb(Operation.SYNC, case.root / "u", Action.LIE)
        case.shim.keep_journal(case.root / "u", case.folder / "journal")

    def disturb(self, case: Case, command: Command) -> None:
        """Cut the power."""
        case.await_moment(command)
        case.struck = True
        everything = [command.pid, *descendants(command.pid)]
        send(everything, signal.SIGSTOP)
        send(everything, signal.SIGKILL)
        command.wait(10)
        case.shim.rest()
        for path in unsynced(case.folder / "journal"):
            if path.is_file():  # none of it has reached the disk, or a part
                os.truncate(path, case.random.choice([0, path.stat().st_size // 2]))
        before_boot = psutil.boot_time() - 1
        for path in (case.root / "u").rglob("*"):
            os.utime(path, (before_boot, before_boot))

    def code_is_true(self, code: int) -> bool:
        """Return whether it was killed or had ended."""
        return code in (0, -signal.SIGKILL)


def unsynced(journal: Path) -> set[Path]:
    """Return the files of which something was not synced."""
    dirty: set[str] = set()
    for line in journal.read_text().splitlines() if journal.exists() else ():
        what, path, other = line.split("\t")
        match what:
            case "write":
                dirty.add(path)
            case "sync":
                dirty.discard(path)
            case "sync all":
                dirty.clear()
            case "rename":
                dirty.discard(other)
                if path in dirty:
                    dirty.remove(path)
                    dirty.add(other)
    return {Path(path) for path in dirty}


@dataclass(frozen=True)
class FewOf(Fault):
    """A limit for a resource."""

    kind: int
    least: int
    most: int

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return {Need.WORKERS}

    def prepare(self, case: Case) -> None:
        """Set the limit."""
        case.surroundings.limits[self.kind] = case.random.randint(self.least, self.most)

    def struck(self, case: Case) -> bool:
        """Return that it always does."""
        return True

    def heal(self, case: Case) -> None:
        """Take it away."""
        case.surroundings.limits.clear()

    def code_is_true(self, code: int) -> bool:
        """Return whether the command did its work, or failed, or refused to begin."""
        return code in (0, 1, 2)


@dataclass(frozen=True)
class ClosedErrorStream(Fault):
    """There is no standard error."""

    def prepare(self, case: Case) -> None:
        """Close it."""
        case.surroundings = replace(case.surroundings, stderr=-1, new_interpreter=True)

    def struck(self, case: Case) -> bool:
        """Return that it always does."""
        return True

    def heal(self, case: Case) -> None:
        """Give the next command one."""
        case.surroundings = replace(case.surroundings, stderr=None)


@dataclass(frozen=True)
class GoneReader(Fault):
    """The reader of standard error goes away."""

    def start(self, case: Case) -> Command:
        """Give the command a pipe."""
        reader, writer = os.pipe()
        case.surroundings = replace(case.surroundings, stderr=writer, reader=reader)
        command = super().start(case)
        os.close(writer)
        return command

    def disturb(self, case: Case, command: Command) -> None:
        """Close the other end."""
        case.struck = case.await_moment(command)
        os.close(case.surroundings.reader)

    def heal(self, case: Case) -> None:
        """Let the next command write to a file."""
        case.surroundings = replace(case.surroundings, stderr=None, reader=None)


@dataclass(frozen=True)
class Twins(Fault):
    """The same command, started twice."""

    extend: bool = False
    """Whether both go on with a run that another was killed in."""
    kill: bool = False
    """Whether one is killed."""

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return {Need.RUN, Need.REGISTRY}

    @property
    def kills(self) -> bool:
        """Whether no process may be left that could delete temporary files."""
        return self.extend or self.kill

    def prepare(self, case: Case) -> None:
        """Let what they do to the database take long, at times, so that more can come between."""
        if case.random.random() < 0.5:
            operations = Operation.WRITE | Operation.SYNC | Operation.UNLINK
            case.shim.disturb(operations, Where.DATABASE.of(case), Action.DELAY, 4000)

    def start(self, case: Case) -> Command:
        """Start the first."""
        if not self.extend:
            return super().start(case)
        early = super().start(case)
        case.await_moment(early)
        early.signal(signal.SIGKILL)
        early.wait(30)
        case.commands.remove(early)
        return case.start([*case.plan.disturbed, *case.more, *case.plan.extension])

    def disturb(self, case: Case, command: Command) -> None:
        """Start the second."""
        case.pause(command, case.random.choice([0, 0, 0.01, 0.1, 0.5]))
        other = case.start(command.arguments[:-2])
        case.struck = not command.poll()
        if self.kill:
            case.await_moment(other)
            case.random.choice([command, other]).signal(signal.SIGKILL)

    def heal(self, case: Case) -> None:
        """Let the database be quick again."""
        case.shim.rest()

    def code_is_true(self, code: int) -> bool:
        """Return whether it ended, was refused or was killed."""
        return code in (0, 1, -signal.SIGKILL if self.kill else 0)
