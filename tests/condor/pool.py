"""A real HTCondor pool, as the tests see it.

A test takes the fixture ``pool``, which is a `Pool`, and the fixture ``work``, a folder that its jobs see at the same
path. Commands that submit and ask are run by `Pool.run` *in the pool's world*: in its file system, with its
configuration, and as its user, because HTCondor takes no jobs from root. A pool that answers is used as it is
(`ExistingPool`), else one is brought up (`~condor.personal_pool.PersonalPool`, which has the picture of what lives
where).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from conftest import TESTS, Finished
from pipetask.testing.plain_runs import wait_until

__all__ = ["ExistingPool", "Pool"]


class Pool(ABC):
    """A pool of HTCondor, with a schedd to submit to and slots to run on.

    Parameters
    ----------
    work
        Folder that commands and jobs see at the same path as the test does. (Not in ``/tmp``, where DAGMan refuses to
        write its logs.)
    """

    def __init__(self, work: Path) -> None:
        self.work = work

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """Leave no job, process, mount or file of these tests behind."""

    @abstractmethod
    def start(
        self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command in the pool's world, in a session of its own.

        Parameters
        ----------
        *command
            The command and its arguments.
        cwd
            Working directory, by default `work`.
        env
            Environment variables to add. It begins with `PATH`, `CONDOR_CONFIG`, `PYTHONPATH` and the like, not with
            those of the test.

        Returns
        -------
        process : `subprocess.Popen`
            With pipes for standard output and error. To interrupt the command use `send_signal` of the pool.
        """

    @abstractmethod
    def send_signal(self, process: subprocess.Popen[str], number: int) -> None:
        """Send a signal to a command that `start` has started."""

    @abstractmethod
    def hand_over(self, path: Path) -> None:
        """Make the pool's user the owner of a path, and of all that is in it."""

    def new_folder(self, name: str) -> Path:
        """Make a folder, owned by the pool's user, that jobs see at the same path."""
        folder = self.work / re.sub(r"\W+", "-", name)
        folder.mkdir()
        self.hand_over(folder)
        return folder

    @abstractmethod
    def _end_schedd(self) -> None:
        """End the schedd, which will come back by itself."""

    def run(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Finished:
        """Run a command in the pool's world to its end.

        Parameters
        ----------
        *command, cwd, env
            As for `start`.
        timeout
            When to give up, in seconds.

        Returns
        -------
        finished : `conftest.Finished`
            Exit code, both outputs, and seconds.

        Raises
        ------
        TimeoutError
            Raised if the command has not ended in time; it is killed.
        """
        begin = time.monotonic()
        with self.start(*command, cwd=cwd, env=env) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                raise TimeoutError(f"{' '.join(map(str, command))} hangs:\n{out}\n{err}") from None
        return Finished(process.returncode, out, err, time.monotonic() - begin)

    def pipetask(self, *arguments: str | Path, **options: Any) -> Finished:
        """Run our command in the pool's world; options are those of `run`."""
        return self.run(sys.executable, "-m", "pipetask.cli", *arguments, **options)

    def wait_for_state(
        self, run_dir: Path, what: str, state: str, count: int = 1, timeout: float = 300
    ) -> None:
        """Wait until so many nodes of a run are in a state, or so many quanta of a label, if that is ``what``."""
        words = [sys.executable, "-m", "condor.await_state", run_dir, what, state, str(count)]
        done = self.run(*words, timeout=timeout)
        assert done.code == 0, done.err

    def query(self, *command: str) -> str:
        """Return what one of HTCondor's commands prints.

        Raises
        ------
        RuntimeError
            Raised if it fails.
        """
        done = self.run(*command)
        if done.code:
            raise RuntimeError(f"{' '.join(command)}: {done.err.strip() or done.out.strip()}")
        return done.out.strip()

    def answers(self) -> bool:
        """Tell whether the schedd answers and there is a slot."""
        return self.run("condor_q").code == 0 and self.slots > 0

    @property
    def slots(self) -> int:
        """How many jobs that need one CPU fit into the pool."""
        return sum(cpus for cpus, _ in self._machines())

    @property
    def memory(self) -> int:
        """The most memory that one job can have, in MB."""
        return max(memory for _, memory in self._machines())

    def _machines(self) -> list[tuple[int, int]]:
        attributes = ["-af", "TotalSlotCpus", "TotalSlotMemory"]
        lines = self.query("condor_status", "-constraint", "DynamicSlot =!= True", *attributes).splitlines()
        return [(int(cpus), int(memory)) for cpus, memory in map(str.split, lines)]

    def jobs(self, constraint: str = "True") -> list[dict[str, Any]]:
        """Return the job ads in the queue of what was submitted from `work`."""
        out = self.query("condor_q", "-json", "-constraint", f"({self._ours}) && ({constraint})")
        return json.loads(out) if out else []

    def history(self, constraint: str = "True") -> list[dict[str, Any]]:
        """Return the job ads of what was submitted from `work` and has left the queue, the last first."""
        out = self.query("condor_history", "-json", "-constraint", f"({self._ours}) && ({constraint})")
        return json.loads(out) if out else []

    @property
    def _ours(self) -> str:
        return f'substr(Iwd, 0, {len(str(self.work))}) == "{self.work}"'

    def remove_jobs(self) -> None:
        """Remove all jobs that were submitted from `work`, and wait until they are gone."""
        if self.jobs():
            self.run("condor_rm", "-constraint", self._ours)
            wait_until(lambda: not self.jobs(), "jobs leave the queue")

    def restart_schedd(self) -> None:
        """End the schedd, and wait until it is back."""
        before = self._schedd_start_time()
        self._end_schedd()
        wait_until(lambda: self._schedd_start_time() > before and self.answers(), "the schedd comes back")

    def _schedd_start_time(self) -> int:
        """Return seconds since 1970, 0 without a schedd. The master waits a second before it starts another one."""
        return int(self.query("condor_status", "-schedd", "-af", "DaemonStartTime") or 0)

    @contextmanager
    def without_schedd(self) -> Iterator[None]:
        """Have no schedd for a while."""
        self.query("condor_off", "-fast", "-daemon", "schedd")
        wait_until(lambda: self.run("condor_q").code != 0, "the schedd ends")
        try:
            yield
        finally:
            self.query("condor_on", "-daemon", "schedd")
            wait_until(self.answers, "the schedd comes back")


class ExistingPool(Pool):
    """The pool that this machine belongs to, used as the user who runs the tests.

    Its machines must see the folder that the environment variable ``PIPETASK_CONDOR_WORK`` names (by default the user's
    home folder) and the interpreter of the tests. Jobs of others are left alone.
    """

    def __init__(self) -> None:
        home = os.environ.get("PIPETASK_CONDOR_WORK") or Path.home()
        super().__init__(Path(tempfile.mkdtemp(prefix="pipetask-condor-", dir=home)))

    def stop(self) -> None:
        self.remove_jobs()
        shutil.rmtree(self.work)

    def start(
        self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return popen(command, cwd or self.work, {**os.environ, "PYTHONPATH": python_path(), **(env or {})})

    def send_signal(self, process: subprocess.Popen[str], number: int) -> None:
        process.send_signal(number)

    def hand_over(self, path: Path) -> None:
        """Do nothing: the pool's user is who runs the tests."""

    def _end_schedd(self) -> None:
        self.query("condor_restart", "-fast", "-daemon", "schedd")


def popen(
    command: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a command in a session of its own, with pipes to read its output."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def python_path() -> str:
    """Return where Python is to find what the tests import, besides what is installed."""
    paths = [str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return os.pathsep.join(str(Path(path).absolute()) for path in paths if path)
