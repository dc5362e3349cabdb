"""Signals, to which processes and when."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import time
from dataclasses import dataclass, replace

from campaign.case import Case
from campaign.command import Command, descendants
from campaign.fault import Fault, Need, Where
from campaign.shim import Action, Operation, Target

__all__ = ["SentSignal", "SignalAtOperation", "Stopped", "Victim"]


class Victim(enum.Enum):
    """Who gets a signal."""

    COMMAND = "the command"
    GROUP = "its process group"
    WORKER = "a worker"
    WORKERS = "all workers"
    FORK_SERVER = "the fork server"
    ALL = "everything"

    @property
    def needs(self) -> set[Need]:
        """What there must be."""
        match self:
            case Victim.WORKER | Victim.WORKERS:
                return {Need.WORKERS}
            case Victim.FORK_SERVER:
                return {Need.FORK_SERVER}
        return set()

    def processes(self, case: Case, command: Command) -> list[int]:
        """Return the processes; negative: a group."""
        match self:
            case Victim.COMMAND:
                return [command.pid]
            case Victim.GROUP:
                return [-command.pid]
            case Victim.WORKER:
                workers = command.workers(forked=case.model.fork_server)
                return [case.random.choice(workers)] if workers else []
            case Victim.WORKERS:
                return command.workers(forked=case.model.fork_server)
            case Victim.FORK_SERVER:
                servers = command.servers()
                return [case.random.choice(servers)] if servers else []
            case Victim.ALL:
                return [command.pid, *descendants(command.pid)]

    def await_processes(self, case: Case, command: Command) -> None:
        """Wait until there are any, or for the command's end."""
        case.await_condition(command, lambda: bool(self.processes(case, command)))


def send(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@dataclass(frozen=True)
class SentSignal(Fault):
    """A signal of some, at the case's moment."""

    numbers: tuple[int, ...]
    victim: Victim = Victim.COMMAND
    times: int = 1

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return self.victim.needs

    @property
    def kills(self) -> bool:
        """Whether no process may be left that could delete temporary files."""
        return self.numbers == (signal.SIGKILL,) and self.victim in _WITH_COMMAND

    def disturb(self, case: Case, command: Command) -> None:
        """Send it."""
        if not case.await_moment(command):
            return
        self.victim.await_processes(case, command)
        for _ in range(self.times):
            victims = self.victim.processes(case, command)
            case.struck = case.struck or bool(victims)
            send(victims, case.random.choice(self.numbers))
            time.sleep(case.random.choice([0, 0.001, 0.03]))

    def code_is_true(self, code: int) -> bool:
        """Return whether it is that of a signal, or of a run that came to its end."""
        if self.victim in _WITH_COMMAND:
            # Before it listens, a signal ends a command as it ends any other process.
            return code == 0 or any(code in (-number, 128 + number) for number in self.numbers)
        return code in (0, 1)


_WITH_COMMAND = (Victim.COMMAND, Victim.GROUP, Victim.ALL)


@dataclass(frozen=True)
class SignalAtOperation(Fault):
    """A signal when something is done for the how-manieth time."""

    where: Where
    operations: Operation
    action: Action
    most: int
    """The how-manieth time, at most."""
    target: Target = Target.SELF
    number: int = signal.SIGKILL

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return self.where.needs

    @property
    def kills(self) -> bool:
        """Whether no process may be left that could delete temporary files."""
        return self.number == signal.SIGKILL

    def prepare(self, case: Case) -> None:
        """Give the orders."""
        first = case.random.randint(1, self.most)
        case.shim.disturb(
            self.operations,
            self.where.of(case),
            self.action,
            self.number,
            suffix="-journal" if self.operations is Operation.UNLINK else "",
            first=first,
            last=first,
            target=self.target,
        )

    def struck(self, case: Case) -> bool:
        """Return whether it has come to that operation."""
        return case.shim.hits > 0

    def heal(self, case: Case) -> None:
        """Let the repeated command be."""
        case.shim.rest()

    def code_is_true(self, code: int) -> bool:
        """Return whether it is that of a signal, of a run that came to its end, or one that lost a worker."""
        return code in (0, -self.number, 128 + self.number, 1 if self.target is Target.SELF else 0)


@dataclass(frozen=True)
class Stopped(Fault):
    """A process that stands still for a while."""

    victim: Victim
    until_timeout: bool = False

    @property
    def needs(self) -> set[Need]:
        """What the execution model must have."""
        return self.victim.needs | ({Need.RUN} if self.until_timeout else set())

    def prepare(self, case: Case) -> None:
        """Set a timeout."""
        if self.until_timeout:
            case.more += ["--timeout", "2"]
            case.moment = replace(case.moment, quantum=case.moment.quantum or 1, seconds=0)

    def disturb(self, case: Case, command: Command) -> None:
        """Stop it, and let it go on later if that is the plan."""
        if not case.await_moment(command):
            return
        self.victim.await_processes(case, command)
        victims = self.victim.processes(case, command)
        case.struck = bool(victims)
        send(victims, signal.SIGSTOP)
        if not self.until_timeout:
            case.pause(command, case.random.uniform(0.1, 1.0))
            send(victims, signal.SIGCONT)
