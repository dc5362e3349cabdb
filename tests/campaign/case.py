"""One disturbed run while it goes on: what faults and checks need to know of it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from campaign.command import Command, Surroundings
from campaign.models import Model, Plan
from campaign.shapes import Shape
from campaign.shim import Shim
from campaign.tasks import FOLDER_VARIABLE

__all__ = ["Case", "Moment"]

HANG = 180
"""Seconds after which a command hangs."""


@dataclass(frozen=True)
class Moment:
    """When something happens: so long after the start, or after the how-manieth quantum has begun."""

    seconds: float
    quantum: int | None = None

    def __str__(self) -> str:
        after = "the start" if self.quantum is None else f"quantum {self.quantum}"
        return f"{self.seconds:.3f} s after {after}"


@dataclass
class Case:
    """A disturbed run."""

    folder: Path
    root: Path
    """The repository."""
    shape: Shape
    model: Model
    plan: Plan
    finished: Path
    """A repository in which the same graph was executed without disturbance."""
    random: random.Random
    moment: Moment
    shim: Shim
    surroundings: Surroundings
    clobber: bool = False
    """Whether failed tasks have left outputs that may go."""
    more: list[str] = field(default_factory=list)
    """More arguments for the disturbed command."""
    commands: list[Command] = field(default_factory=list)
    saboteur: int = 0
    """The how-manieth quantum misbehaves."""
    struck: bool = False
    """Whether what was to happen at the moment has happened to something."""

    @classmethod
    def make(
        cls, folder: Path, root: Path, shape: Shape, model: Model, finished: Path, choose: random.Random
    ) -> Case:
        """Make a case in a folder."""
        temporary = folder / "tmp"
        for path in (temporary, folder / "orders", folder / "cwd"):
            path.mkdir()
        environment = {
            "TMPDIR": str(temporary),
            "XDG_STATE_HOME": str(folder / "state"),
            FOLDER_VARIABLE: str(folder / "orders"),
            "COLUMNS": "200",
        }
        shim = Shim(folder / "shim")
        surroundings = Surroundings(
            folder / "cwd", shim, environment, new_interpreter=choose.random() < 1 / 8
        )
        plan = model.plan(root, folder)
        moment = _some_moment(choose, shape, model)
        case = cls(folder, root, shape, model, plan, finished, choose, moment, shim, surroundings)
        case.order()
        return case

    @property
    def graph(self) -> Path:
        """The graph file."""
        return self.root / "graph.qg"

    @property
    def summary_prefix(self) -> str:
        """What the paths of summaries begin with."""
        return str(self.plan.summary or self.folder / "summary")

    @property
    def temporary(self) -> Path:
        """The temporary folder of its commands."""
        return Path(self.surroundings.environment["TMPDIR"])

    def order(self, act: str = "nothing", at: int = 0, seconds: float = 0.02) -> None:
        """Tell tasks what to do, how-manieth quantum, and how long each takes."""
        content = json.dumps({"act": act, "at": at, "seconds": seconds})
        (self.folder / "orders" / "orders.json").write_text(content)

    @property
    def begun(self) -> int:
        """How many quanta have begun."""
        return len(list((self.folder / "orders").glob("quantum-*")))

    def has_begun(self, number: int) -> bool:
        """Return whether so many quanta have begun."""
        return (self.folder / "orders" / f"quantum-{number}").exists()

    def start(self, arguments: list[str]) -> Command:
        """Start a command, which writes a summary of its own."""
        output = self.folder / f"command-{len(self.commands) + 1}"
        if arguments[0] in ("run", "run-qbb") and "--no-submit" not in arguments:
            arguments = [*arguments, "--summary", f"{self.summary_prefix}-{len(self.commands) + 1}.json"]
        command = Command(arguments, self.surroundings, output)
        self.commands.append(command)
        return command

    def await_moment(self, command: Command) -> bool:
        """Wait for the moment; return whether it came before the command's end."""
        if self.moment.quantum is not None:
            quantum = self.moment.quantum
            self.await_condition(command, lambda: self.has_begun(quantum))
        self.await_condition(command, lambda: False, self.moment.seconds)
        return not command.poll()

    def await_condition(self, command: Command, condition: Callable[[], bool], seconds: float = HANG) -> bool:
        """Wait for a condition, or for the command's end, at most so long; return whether it came true."""
        command.wait(seconds, condition)
        return condition()

    def pause(self, command: Command, seconds: float) -> None:
        """Let time pass while a command runs, even a stopped one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not command.poll():
            time.sleep(0.005)


def _some_moment(choose: random.Random, shape: Shape, model: Model) -> Moment:
    if choose.random() < 0.7:
        return Moment(choose.uniform(0, 0.05), choose.randint(1, shape.quanta))
    return Moment(choose.uniform(0, 3 if model.workers else 0.8))
