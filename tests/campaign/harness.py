"""Run one seed: disturb a command, repeat it, and see what is wrong."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from campaign.case import HANG, Case
from campaign.checks import (
    EndState,
    complaints_of_output,
    complaints_of_summary,
    complaints_of_temporary_files,
)
from campaign.command import Command, descendants, end_descendants, reap
from campaign.models import MODELS
from campaign.scenario import Scenario
from campaign.shapes import made_once

__all__ = ["Result", "run_seed"]

REPEATS = 2
"""How often a command may have to be repeated."""

PATIENCE = 120
"""Seconds that processes may take to end after their command."""


@dataclass
class Result:
    """What came of a seed."""

    seed: int
    kind: str
    shape: str
    model: str
    moment: str = ""
    folder: str = ""
    seconds: float = 0.0
    codes: list[int | None] = field(default_factory=list)
    """Exit codes of the disturbed command, of its twin, and of repetitions."""
    struck: bool = False
    """Whether the fault has happened to anything."""
    repeated: bool = False
    """Whether the command had to be repeated."""
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, scenario: Scenario, folder: str = "") -> Result:
        """Return one to which nothing has come yet."""
        return cls(scenario.seed, scenario.kind, scenario.shape_name, scenario.model_name, folder=folder)


def run_seed(seed: int, workspace: Path) -> Result:
    """Run a seed; its folder is kept if something is wrong.

    Parameters
    ----------
    seed
        The seed.
    workspace
        Folder with what is made once, and with a folder for each seed.
    """
    start = time.monotonic()
    scenario = Scenario.of(seed)
    folder = workspace / "seeds" / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result = Result.of(scenario, str(folder))
    try:
        _Trial(scenario, workspace, folder, result).run()
    finally:
        end_descendants()
    result.seconds = time.monotonic() - start
    if not result.complaints:
        shutil.rmtree(folder)
    return result


class _Trial:
    def __init__(self, scenario: Scenario, workspace: Path, folder: Path, result: Result):
        self._fault, self._result = scenario.fault, result
        fresh = _fresh(scenario, workspace)
        finished = _finished(scenario, workspace, fresh)
        self._wanted = EndState.of(finished)
        root = Path(shutil.copytree(fresh, folder / "repo"))
        self._case = Case.make(folder, root, scenario.shape, scenario.model, finished, scenario.random)

    def run(self) -> None:
        case, fault = self._case, self._fault
        for arguments in case.plan.before():
            if self._undisturbed(arguments) != 0:
                self._complain("what came before the disturbance failed")
                return
        before, begun = len(case.commands), case.begun
        fault.prepare(case)
        self._result.moment = str(case.moment)
        fault.disturb(case, fault.start(case))
        disturbed = case.commands[before:]
        ended = [self._end(each) for each in disturbed]
        if not all(ended):
            return
        for each in disturbed:
            self._check(each, ran=case.begun > begun and len(disturbed) == 1, disturbed=True)
        self._result.struck = fault.struck(case)
        fault.heal(case)
        left = set(case.temporary.rglob("*")) if fault.kills else set()
        if self._is_done(disturbed) or self._repeat():
            self._check_end(left)

    def _is_done(self, disturbed: list[Command]) -> bool:
        whole = self._case.model.one_command and not self._fault.spoils_the_past
        return whole and any(each.code == 0 for each in disturbed)

    def _repeat(self) -> bool:
        case, self._result.repeated = self._case, True
        clobber = ["--clobber-outputs"] if case.clobber and case.plan.extension else []
        for _ in range(REPEATS):
            code: int | None = None
            for arguments in case.plan.repeated():
                code = self._undisturbed([*arguments, *clobber])
            if code == 0:
                return True
        self._complain(f"after {REPEATS} repetitions it is not done: {case.commands[-1].text[-800:]!r}")
        return False

    def _undisturbed(self, arguments: list[str]) -> int | None:
        begun = self._case.begun
        command = self._case.start(arguments)
        if self._end(command):
            self._check(command, ran=self._case.begun > begun)
        return command.code

    def _end(self, command: Command) -> bool:
        if hangs := not command.wait(HANG):
            self._complain(f"it hangs: {command.text[-500:]!r}", command)
            end_descendants()
            command.wait(10)
        self._result.codes.append(command.code)
        return not hangs

    def _check(self, command: Command, *, ran: bool, disturbed: bool = False) -> None:
        if disturbed:
            self._check_fault(command)
        self._check_processes(command)
        code, summary = command.code, command.summary
        assert code is not None
        mute = command.arguments[0] == "run-node" or (disturbed and self._fault.kills)
        verdict = mute or (summary is not None and summary.exists())
        for complaint in complaints_of_output(command.text, code, verdict=verdict):
            self._complain(complaint, command)
        if summary is not None and code >= 0:
            excused = disturbed and self._fault.spoils_summary
            self._check_summary(command, must=(code == 0 or ran) and not excused)
        if code == 0 and summary is not None and not self._fault.spoils_the_past:
            self._check_state("exit code 0, and", command)

    def _check_summary(self, command: Command, *, must: bool) -> None:
        assert command.summary is not None
        assert command.code is not None
        if command.summary.exists():
            for complaint in complaints_of_summary(command.summary, self._case.shape.quanta, command.code):
                self._complain(complaint, command)
        elif must:
            words = f"exit code {command.code}, and there is no summary: {command.text[-500:]!r}"
            self._complain(words, command)

    def _check_fault(self, command: Command) -> None:
        code = command.code
        # A node has more exit codes, which tell the batch system what to do.
        if code is None or (self._case.model.one_command and not self._fault.code_is_true(code)):
            self._complain(f"exit code {code}: {command.text[-500:]!r}", command)
        elif self._fault.done and code != 0:
            self._complain(f"exit code {code} where all can be done: {command.text[-800:]!r}", command)

    def _check_processes(self, command: Command) -> None:
        others = [each.pid for each in self._case.commands if not each.poll()]
        deadline = time.monotonic() + PATIENCE
        while not others and descendants():
            reap()
            if time.monotonic() > deadline:
                described = [
                    Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in descendants()
                ]
                self._complain(f"processes are left: {described}", command)
                end_descendants()
            time.sleep(0.01)

    def _check_end(self, left: set[Path]) -> None:
        self._check_state("in the end")
        said = "".join(command.text + command.recorded for command in self._case.commands)
        for complaint in complaints_of_temporary_files(self._case.temporary, said, left):
            self._complain(complaint)

    def _check_state(self, when: str, command: Command | None = None) -> None:
        for complaint in EndState.of(self._case.root).complaints(self._wanted):
            self._complain(f"{when} {complaint}", command)

    def _complain(self, words: str, command: Command | None = None) -> None:
        who = "" if command is None else f"command {self._case.commands.index(command) + 1}: "
        self._result.complaints.append(f"{who}{words}")


def _fresh(scenario: Scenario, workspace: Path) -> Path:
    name = scenario.shape_name.replace(" ", "-")
    return made_once(workspace / f"{name}-fresh", scenario.shape.make)


def _finished(scenario: Scenario, workspace: Path, fresh: Path) -> Path:
    """Return a repository in which the graph was executed without disturbance."""
    model = "in-process" if scenario.model.registers else "run-qbb"
    name = scenario.shape_name.replace(" ", "-")

    def make(folder: Path) -> None:
        folder.mkdir()
        root = Path(shutil.copytree(fresh, folder / "repo"))
        case = Case.make(folder, root, scenario.shape, MODELS[model], root, random.Random(1))
        for arguments in [*case.plan.before(), case.plan.disturbed]:
            command = case.start(arguments)
            command.wait(HANG)
            if command.code != 0:
                raise RuntimeError(
                    f"without disturbance, {arguments} ends with {command.code}: {command.text}"
                )

    return made_once(workspace / f"{name}-{model}", make) / "repo"
