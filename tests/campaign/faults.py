"""The faults: what a fault is, and the table of all of them."""

from __future__ import annotations

import errno
import resource
import signal

from campaign.damage import Damage, cut_in_half, delete, empty
from campaign.disturbances import (
    BrokenOperations,
    ClosedErrorStream,
    DisturbedGraph,
    FewOf,
    GoneReader,
    Lock,
    OtherTemporaryFolder,
    PowerCut,
    Sabotage,
    Twins,
)
from campaign.fault import Fault, Need, Where
from campaign.shim import Action, Operation, Target
from campaign.signals import SentSignal, SignalAtOperation, Stopped, Victim

__all__ = ["FAULTS"]

GENTLE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
DEADLY = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV)

SIGNALS: dict[str, Fault] = {
    "SIGKILL to the command": SentSignal((signal.SIGKILL,)),
    "SIGTERM to the command": SentSignal((signal.SIGTERM,)),
    "SIGINT to the command": SentSignal((signal.SIGINT,)),
    "SIGHUP to the command": SentSignal((signal.SIGHUP,)),
    "SIGQUIT to the command": SentSignal((signal.SIGQUIT,)),
    "SIGKILL to the group": SentSignal((signal.SIGKILL,), Victim.GROUP),
    "Ctrl-C": SentSignal((signal.SIGINT,), Victim.GROUP),
    "SIGTERM to the group": SentSignal((signal.SIGTERM,), Victim.GROUP),
    "a lost terminal": SentSignal((signal.SIGHUP,), Victim.GROUP),
    "Ctrl-\\": SentSignal((signal.SIGQUIT,), Victim.GROUP),
    "two signals to the command": SentSignal(GENTLE, times=2),
    "Ctrl-C twice": SentSignal((signal.SIGINT,), Victim.GROUP, times=2),
    "SIGKILL to a worker": SentSignal((signal.SIGKILL,), Victim.WORKER),
    "another signal to a worker": SentSignal(DEADLY, Victim.WORKER),
    "SIGKILL to all workers": SentSignal((signal.SIGKILL,), Victim.WORKERS),
    "SIGKILL to the fork server": SentSignal((signal.SIGKILL,), Victim.FORK_SERVER),
    "another signal to the fork server": SentSignal(DEADLY, Victim.FORK_SERVER),
    "SIGKILL to the command and its workers": SentSignal((signal.SIGKILL,), Victim.ALL),
    "the command stopped for a while": Stopped(Victim.COMMAND, done=True),
    "a worker stopped for a while": Stopped(Victim.WORKER, done=True),
    "a worker stopped until its timeout": Stopped(Victim.WORKER, until_timeout=True),
    "SIGKILL before a commit": SignalAtOperation(Where.DATABASE, Operation.UNLINK, Action.SIGNAL_BEFORE, 12),
    "SIGKILL after a commit": SignalAtOperation(Where.DATABASE, Operation.UNLINK, Action.SIGNAL_AFTER, 12),
    "SIGTERM at a commit": SignalAtOperation(
        Where.DATABASE, Operation.UNLINK, Action.SIGNAL_BEFORE, 12, Target.COMMAND, signal.SIGTERM
    ),
    "SIGINT at a commit": SignalAtOperation(
        Where.DATABASE, Operation.UNLINK, Action.SIGNAL_BEFORE, 12, Target.COMMAND, signal.SIGINT
    ),
    "SIGKILL at a new file": SignalAtOperation(Where.DATASTORE, Operation.OPEN, Action.SIGNAL_BEFORE, 20),
    "SIGKILL in the middle of a file": SignalAtOperation(
        Where.DATASTORE, Operation.WRITE, Action.SIGNAL_AFTER, 20
    ),
    "SIGKILL at a new name": SignalAtOperation(Where.DATASTORE, Operation.RENAME, Action.SIGNAL_AFTER, 20),
    "SIGKILL of the command at a new file": SignalAtOperation(
        Where.DATASTORE, Operation.OPEN, Action.SIGNAL_BEFORE, 20, Target.COMMAND
    ),
    "SIGHUP at a new file": SignalAtOperation(
        Where.DATASTORE, Operation.OPEN, Action.SIGNAL_BEFORE, 20, Target.COMMAND, signal.SIGHUP
    ),
    "SIGINT at the summary": SignalAtOperation(
        Where.SUMMARY,
        Operation.OPEN | Operation.WRITE,
        Action.SIGNAL_BEFORE,
        2,
        Target.COMMAND,
        signal.SIGINT,
    ),
}

TASKS: dict[str, Fault] = {
    "a task raises": Sabotage(("raise", "raise MemoryError", "raise SystemExit"), fails=True),
    "a task raises KeyboardInterrupt": Sabotage(("raise KeyboardInterrupt",), fails=True),
    "a task interrupts itself": Sabotage(("interrupt itself",), fails=True),
    "a task crashes": Sabotage(("segfault", "abort"), only=(Need.WORKERS,), fails=True),
    "a task exits": Sabotage(("exit", "exit as if all were well"), only=(Need.WORKERS,), fails=True),
    "a task is killed": Sabotage(("kill itself", "real-time signal"), only=(Need.WORKERS,), fails=True),
    "a task crashes the only process": Sabotage(("segfault", "exit"), only=(Need.IN_PROCESS,)),
    "a task closes descriptors": Sabotage(("close descriptors",), only=(Need.WORKERS,)),
    "a task forks": Sabotage(("fork",), only=(Need.WORKERS,)),
    "a task hangs": Sabotage(
        ("hang",),
        only=(
            Need.WORKERS,
            Need.RUN,
        ),
        more=("--timeout", "2"),
        fails=True,
    ),
    "a task leaves a timer": Sabotage(("leave timer",)),
    "a task leaves a umask": Sabotage(("leave umask",), done=True),
    "a task leaves another directory": Sabotage(("leave cwd",), done=True),
    "a task leaves the environment spoilt": Sabotage(("leave environment",), done=True),
    "a task leaves limits": Sabotage(("leave limits",)),
    "a task leaves a thread": Sabotage(("leave thread",), done=True),
    "a task leaves children": Sabotage(("leave children",), done=True),
    "a task logs what no code has": Sabotage(("log surrogate",), done=True),
    "a task logs much": Sabotage(("log much",), done=True),
}

GRAPHS: dict[str, Fault] = {
    "the graph file is deleted": DisturbedGraph("delete"),
    "the graph file is replaced": DisturbedGraph("replace"),
    "the graph file is cut": DisturbedGraph("cut"),
}

_CHANGE = Operation.OPEN | Operation.WRITE
DISKS: dict[str, Fault] = {
    "the database is full": BrokenOperations(Where.DATABASE, _CHANGE, Action.FAIL, errno.ENOSPC, 200),
    "the database is read-only": BrokenOperations(Where.DATABASE, _CHANGE, Action.FAIL, errno.EROFS, 200),
    "the database has a bad block": BrokenOperations(
        Where.DATABASE, Operation.WRITE, Action.FAIL, errno.EIO, 200, once=True
    ),
    "the database cannot be synced": BrokenOperations(
        Where.DATABASE, Operation.SYNC, Action.FAIL, errno.EIO, 60, once=True
    ),
    "the database is locked": Lock(done=True),
    "the datastore is full": BrokenOperations(
        Where.DATASTORE, _CHANGE, Action.FAIL, errno.ENOSPC, 120, fails=True
    ),
    "the datastore is full for a moment": BrokenOperations(
        Where.DATASTORE, Operation.WRITE, Action.FAIL, errno.ENOSPC, 60, once=True, fails=True
    ),
    "the datastore is read-only": BrokenOperations(
        Where.DATASTORE,
        Operation.OPEN | Operation.MKDIR | Operation.RENAME,
        Action.FAIL,
        errno.EROFS,
        120,
        fails=True,
    ),
    "the datastore has a bad block": BrokenOperations(
        Where.DATASTORE, Operation.WRITE | Operation.SYNC, Action.FAIL, errno.EIO, 60, once=True, fails=True
    ),
    "the datastore cannot rename": BrokenOperations(
        Where.DATASTORE, Operation.RENAME, Action.FAIL, errno.EIO, 30, once=True, fails=True
    ),
    "the datastore is slow": BrokenOperations(
        Where.DATASTORE, _CHANGE | Operation.SYNC, Action.DELAY, 3000, 1, done=True
    ),
    "the datastore writes by halves": BrokenOperations(
        Where.DATASTORE, Operation.WRITE, Action.SHORT, 0, 1, done=True
    ),
    "the summary's place is full": BrokenOperations(Where.SUMMARY, _CHANGE, Action.FAIL, errno.ENOSPC, 1),
    "TMPDIR is full": BrokenOperations(Where.TEMPORARY, _CHANGE, Action.FAIL, errno.ENOSPC, 3, done=True),
    "TMPDIR is missing": OtherTemporaryFolder("missing"),
    "TMPDIR is long": OtherTemporaryFolder("x" * 110, exists=True, done=True),
    "power cut": PowerCut(),
    "power cut of a disk that lies": PowerCut(lies=True),
}

SURROUNDINGS: dict[str, Fault] = {
    "few descriptors": FewOf(resource.RLIMIT_NOFILE, 16, 70),
    "few processes": BrokenOperations(None, Operation.PROCESS, Action.FAIL, errno.EAGAIN, 8),
    "standard error closed": ClosedErrorStream(done=True),
    "the reader of standard error goes": GoneReader(done=True),
    "the same command twice at once": Twins(),
    "two extensions at once": Twins(extend=True),
    "one of two is killed": Twins(kill=True),
    "one of two extensions is killed": Twins(extend=True, kill=True),
}

DAMAGES: dict[str, Fault] = {
    "files deleted between runs": Damage(delete, done=True),
    "files emptied between runs": Damage(empty, done=True),
    "files cut between runs": Damage(cut_in_half, done=True),
}

FAULTS: dict[str, Fault] = {**SIGNALS, **TASKS, **GRAPHS, **DISKS, **SURROUNDINGS, **DAMAGES}
"""All faults by name; a seed takes one by its place."""
