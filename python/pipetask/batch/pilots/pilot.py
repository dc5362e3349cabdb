"""A pilot: a job that takes nodes and has them run, until there is nothing more for it."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from ...errors import PipetaskError
from ...executors.stop import StopRequest
from ...executors.stop_signals import stop_on_signals
from ...runner.memory_kills import oom_kills
from ..exit_codes import FINAL_CODES, ExitCode
from ..names import plain_name
from ..outcomes import AttemptWriter
from ..run_directory import RunDirectory
from ..system import BatchSystem
from ..systems import system_class_of
from .agenda import Abilities, Agenda
from .departures import Departures
from .marks import Claim
from .members import About, Members, Membership
from .places import PilotRound, PilotSettings, last_round
from .worker import Worker

__all__ = ["JOB_VARIABLE", "run_pilot"]

JOB_VARIABLE = "PIPETASK_PILOT_JOB"
"""Environment variable in which a batch system may say what it calls the job of a pilot."""

_TICK = 0.5
_IN_A_ROW = 3
"""Nodes after whose failure, one after the other, a pilot takes its own machine for broken."""

_RESERVE = 20
"""The part of its walltime, as a divisor, in which a pilot begins no node."""

_WARNING = signal.SIGUSR2
"""A batch system may send this ahead of the end of the walltime."""


def run_pilot(directory: RunDirectory, *, processes: int = 1) -> int:
    """Take nodes of a run and have them run, until there is nothing more to do.

    Parameters
    ----------
    directory
        The run.
    processes
        Quanta to run at the same time.

    Returns
    -------
    exit_code
        0 if it has left in order; `ExitCode.INFRASTRUCTURE` if too much went wrong here; 128 and the number of a
        signal that has ended it.

    Raises
    ------
    PipetaskError
        If the run has no pilots.
    """
    round, system = last_round(directory.path), system_class_of(directory)
    left = system.walltime_left()
    end = None if left is None else time.monotonic() + left - left / _RESERVE
    about = About(
        socket.gethostname(),
        os.getpid(),
        system.requested_memory(),
        left,
        time.time(),
        os.environ.get(JOB_VARIABLE, ""),
    )
    id = f"{plain_name(about.host)}-{about.process}-{uuid.uuid4().hex[:6]}"
    with stop_on_signals() as stop, _warned(stop):
        me = Membership(round.folder, id, about)
        members = Members(round.folder, round.settings.stale)
        how_ended = partial(system.how_pilot_ended, directory)
        agenda = Agenda(round, me, members, Abilities(about.memory, end), seed=id, how_ended=how_ended)
        worker = Worker(directory, processes)
        try:
            pilot = _Pilot(directory, round, me, agenda, worker, stop, about)
            code = pilot.run()
        finally:
            worker.close(round.settings.grace)
        me.leave()  # not if anything was raised: then others take over what it had
    if agenda.all_over() and round.is_first_to_end():
        _spare_others(system(), directory)
    return code


def _spare_others(system: BatchSystem, directory: RunDirectory) -> None:
    """Remove pilots that still wait in the queue: nothing is left for them, and the final job would wait for them."""
    try:
        if number := system.remove_waiting_pilots(directory, sys.maxsize):
            _say(f"pilots that waited in the queue are removed, because nothing is left for them: {number}")
    except PipetaskError as error:
        _say(f"pilots that wait in the queue are not removed, although nothing is left for them: {error}")


@contextmanager
def _warned(stop: StopRequest) -> Iterator[None]:
    """Let the warning of a batch system end this pilot."""
    before = signal.signal(_WARNING, lambda number, frame: stop.ask("the walltime ends"))
    try:
        yield
    finally:
        signal.signal(_WARNING, before)


@dataclass
class _Pilot:
    directory: RunDirectory
    round: PilotRound
    me: Membership
    agenda: Agenda
    worker: Worker
    stop: StopRequest
    about: About

    def __post_init__(self) -> None:
        self._departures = Departures(self.round.leave)
        self._next_beat = time.monotonic() + self._settings.beat
        self._pause = self._settings.pause
        self._leaves = False
        self._failed_in_a_row = 0

    @property
    def _settings(self) -> PilotSettings:
        return self.round.settings

    def run(self) -> int:
        _say(f"pilot {self.me.id} comes")
        why = self._work()
        _say(f"pilot {self.me.id} leaves after {self.me.ended} nodes: {why}")
        if self.stop.signal is not None:
            return 128 + self.stop.signal
        return ExitCode.INFRASTRUCTURE if self._failed_in_a_row >= _IN_A_ROW else ExitCode.DONE

    def _work(self) -> str:
        """Run nodes, and return why this pilot leaves."""
        while not self.stop:
            if self._leaves or self._departures.is_my_turn(busy=False):
                return "it was asked to"
            if self._failed_in_a_row >= _IN_A_ROW:
                return f"{_IN_A_ROW} nodes in a row have failed here, so its machine may be broken"
            if (claim := self.agenda.take()) is not None:
                self._pause = self._settings.pause
                self._run(claim)
            elif self.agenda.short_of_time:
                return "its walltime ends"
            elif not self.agenda.can_still_come():
                return "there is nothing more for it"
            else:
                self._wait()
        return self.stop.reason or "it was asked to"

    def _wait(self) -> None:
        """Wait for a while, each time longer."""
        deadline = time.monotonic() + self._pause
        self._pause = min(1.5 * self._pause, self._settings.longest_pause)
        while not self.stop and (left := deadline - time.monotonic()) > 0:
            select.select([self.stop], [], [], min(left, max(0.0, self._next_beat - time.monotonic())))
            self._beat()

    def _beat(self) -> bool:
        """Show that this pilot lives, if it is time for that; return whether it was."""
        if time.monotonic() < self._next_beat:
            return False
        self.me.beat()
        self._next_beat = time.monotonic() + self._settings.beat
        return True

    # One node.

    def _run(self, claim: Claim) -> None:
        if self.agenda.is_hopeless(claim):
            self._give_up(claim)
            return
        began, left = time.monotonic(), self.agenda.time_left()
        killed_before = oom_kills()
        name = f"{self.agenda.node(claim).name}.{self.me.id}-{claim.generation}"
        self.worker.begin(claim.node, str(self.directory.path / "logs" / name))
        code = self._follow(claim)
        if code in FINAL_CODES:
            self._failed_in_a_row = 0
            if not self.agenda.end(claim, code or 0, time.monotonic() - began):
                _say(f"{name} has ended, after another pilot had taken it over")
            return
        if code is None and oom_kills() > killed_before:
            code = ExitCode.OUT_OF_MEMORY
        self._not_final(claim, code, left)

    def _follow(self, claim: Claim) -> int | None:
        """Wait until a node has ended, and return its exit code; `None` if the worker died or was killed."""
        kill_at: float | None = None
        while not select.select([self.worker], [], [], self._next_look(kill_at))[0]:
            if self.worker.has_died():
                break
            if self._beat():
                if kill_at is None and not self.agenda.holds(claim):
                    _say(f"node {claim.node} was taken over by another pilot, so it is interrupted here")
                    kill_at = time.monotonic() + self._settings.grace
                if not self._leaves and self._departures.is_my_turn(busy=True):
                    self._leaves = True
                    self.worker.finish()
            if self.stop and kill_at is None:
                kill_at = time.monotonic() + self._settings.grace
            if kill_at is not None:
                self.worker.interrupt()
                if time.monotonic() > kill_at:
                    self.worker.close(0)
                    return None
        return self.worker.result()

    def _next_look(self, kill_at: float | None) -> float:
        return _TICK if kill_at is not None else min(_TICK, max(0.0, self._next_beat - time.monotonic()))

    def _not_final(self, claim: Claim, code: int | None, left: float | None) -> None:
        """Give a node back that has not ended, on terms that fit how its attempt has ended."""
        terms, memory = claim.terms, self.about.memory
        match code:
            case _ if self.stop or self._leaves:
                pass
            case ExitCode.UNFINISHED:
                pass
            case ExitCode.OUT_OF_MEMORY if memory is not None:
                terms = replace(terms, memory=memory)
            case ExitCode.OUT_OF_TIME if left is not None:
                terms = replace(terms, seconds=left)
            case _:
                terms = terms.failed()
                self._failed_in_a_row += 1
        if terms.failures > self._settings.retries:
            self._give_up(claim)
        else:
            self.agenda.give_back(claim, terms)

    def _give_up(self, claim: Claim) -> None:
        """Let a node be over that has failed too often; those that need it find that out."""
        _say(f"node {claim.node} is given up: it was killed, or something around it was broken, too often")
        code = ExitCode.INFRASTRUCTURE
        if self.agenda.holds(claim):
            # A job that looks for what a node has written need not wait if the last attempt has an end.
            AttemptWriter(self.directory.outcomes, claim.node, self.about.host, self.about.memory).end(code)
        self.agenda.end(claim, code)


def _say(text: str) -> None:
    print(f"pipetask run-pilot: {text}", file=sys.stderr, flush=True)
