"""A job: one process that makes one attempt at a node."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ...batch.graph_parts import FOLDER as PARTS
from ...batch.node_commands import job_arguments
from ...batch.pilots.pilot import JOB_VARIABLE
from .losses import Loss, LossKind
from .system import END_VARIABLE, MEMORY_VARIABLE

__all__ = ["Job"]

_GRACE = 60.0
"""Seconds that a job has to end when it is asked to."""


class Job:
    """One attempt at a node.

    Parameters
    ----------
    path
        The run directory.
    node
        Name of the node.
    attempt
        Number of the attempt.
    memory
        Megabytes that it asks for.
    part
        The part of the graph that it needs, if it does not see the run directory.
    loss
        What goes wrong with it.
    end
        When it is asked to end, and soon afterwards killed, in seconds since 1970-01-01 UTC; `None` for never.
    words
        Arguments of the interpreter; by default those that run the node.
    """

    def __init__(
        self,
        path: Path,
        node: str,
        attempt: int,
        memory: int,
        part: str | None,
        loss: Loss | None,
        end: float | None = None,
        words: Sequence[str] = (),
    ):
        self._end = end
        self.is_forgotten = loss is not None and loss.kind is LossKind.FORGOTTEN
        self._path = path
        self._sandbox = _sandbox(path, part) if part is not None else None
        words = list(words) or job_arguments(".", node)
        if loss is not None and loss.kind is LossKind.KILLED:
            words = ["-m", f"{__package__}.killed", str(loss.after), *words[2:]]
        told = {} if end is None else {END_VARIABLE: str(end)}
        logs, name = path / "logs", f"{node}.{os.getpid()}-{attempt}"
        with (logs / f"{name}.out").open("w") as out, (logs / f"{name}.err").open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, *words],
                cwd=self._sandbox or path,
                env={**os.environ, MEMORY_VARIABLE: str(memory), JOB_VARIABLE: node, **told},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """Return how it ended: 128 and the signal's number if it was killed; `None` while it runs."""
        code = self._process.poll()
        if code is None and self._end is not None and time.time() >= self._end:
            self.kill()
            code = self._process.returncode
        if code is None:
            return None
        self._bring_back()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End it, and all that it has started."""
        self._send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self._send(signal.SIGKILL)
        self._process.wait()
        self._bring_back()

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _bring_back(self) -> None:
        """Copy outcomes out of the sandbox, and remove it."""
        if self._sandbox is not None:
            shutil.copytree(self._sandbox / "outcomes", self._path / "outcomes", dirs_exist_ok=True)
            shutil.rmtree(self._sandbox)
            self._sandbox = None


def _sandbox(path: Path, part: str) -> Path:
    """Make a folder with what a job needs that does not see the run directory."""
    sandbox = Path(tempfile.mkdtemp(prefix="pipetask-job-"))
    for name in ("run.json", "recipe.pickle"):
        shutil.copy(path / name, sandbox)
    shutil.copytree(path / PARTS / part, sandbox, dirs_exist_ok=True)
    (sandbox / "outcomes").mkdir()
    return sandbox
