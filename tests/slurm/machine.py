"""A Slurm for tests: a controller and compute nodes on this machine, in a folder and on ports of their own.

::

    pytest
      ├─ slurmctld -D          its state, configuration and logs are in the machine's folder
      ├─ slurmd -D -N n1       several nodes are several daemons on this host
      │    └─ slurmstepd       one for each job; it outlives its slurmd
      │         └─ the job
      └─ sbatch, squeue, pipetask …   find the controller by SLURM_CONF

Daemons are children of the tests and end with them.  Nothing outside the folder is read or written, and several
machines live side by side.  Jobs of root run, too.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from pipetask.testing.plain_runs import wait_until
from slurm.configuration import MachineOptions, write_configuration

__all__ = ["Job", "Machine", "MachineError", "MachineOptions", "missing_programs"]

FOLDER, PREFIX = Path("/var/tmp"), "pipetask-slurm-"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "setpriv")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
PATIENCE = 300.0
"""Seconds in which daemons come up, and end."""

_COLUMNS = "%F|%K|%T|%M|%k|%r"


class MachineError(Exception):
    """There can be no Slurm here."""


@dataclass(frozen=True)
class Job:
    """A row of the queue."""

    array: str
    """The id of the job, or of its array."""

    task: str
    """Its index in the array; ``N/A`` if it is in none."""

    state: str
    comment: str
    reason: str

    @property
    def id(self) -> str:
        """What commands call it."""
        return self.array if self.task == "N/A" else f"{self.array}_{self.task}"


def missing_programs() -> list[str]:
    """Return the programs of Slurm that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


class Machine:
    """A Slurm that lives until `stop`, and no longer than this process.

    Parameters
    ----------
    options
        What it offers.

    Raises
    ------
    MachineError
        Raised if it does not come up.
    """

    def __init__(self, options: MachineOptions | None = None) -> None:
        self.options = options or MachineOptions()
        _end_left_overs()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=FOLDER))
        self.folder.chmod(0o755)
        self.configuration = write_configuration(self.folder, self.options)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name in ("slurmctld", *self.nodes):
                self.start(name)
            self.wait_for_nodes()
        except (TimeoutError, MachineError) as error:
            why = self._last_words() or str(error)
            self.stop()
            raise MachineError(f"Slurm does not come up: {why}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def nodes(self) -> list[str]:
        """The names of its compute nodes."""
        return [f"n{number}" for number in range(1, self.options.nodes + 1)]

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which commands find it."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH", "SRUN", "SALLOC"))
        }
        return {**kept, "SLURM_CONF": str(self.configuration), "PATH": PATH}

    # Daemons.

    def start(self, name: str, *options: str) -> None:
        """Start ``slurmctld`` or the daemon of a node, with options of it."""
        program = ["slurmctld"] if name == "slurmctld" else ["slurmd", "-N", name]
        command = ["setpriv", "--pdeathsig", "TERM", *program, "-D", "-f", str(self.configuration), *options]
        with (self.folder / "log" / f"{name}.err").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def pid(self, name: str = "slurmctld") -> int:
        """Return the process id of a daemon."""
        return self._daemons[name].pid

    def kill(self, name: str) -> None:
        """Kill a daemon, as when its machine loses power; jobs of a node live on unless `kill_jobs` ends them."""
        daemon = self._daemons[name]
        daemon.kill()
        daemon.wait(PATIENCE)

    def kill_jobs(self) -> None:
        """Kill what the compute nodes run."""
        daemons = {daemon.pid for daemon in self._daemons.values()}
        processes = [each for each in _processes_of(self.configuration) if each.pid not in daemons]
        # Those first that would tell the controller that a program was killed.
        for process in sorted(filter(_inside_a_job, processes), key=lambda each: _name(each) != "slurmstepd"):
            _kill(process)

    def kill_programs(self) -> None:
        """Kill what jobs run; Slurm sees their ends."""
        for process in _processes_of(self.configuration):
            if _inside_a_job(process) and _name(process) != "slurmstepd":
                _kill(process)

    @contextmanager
    def paused(self, name: str = "slurmctld") -> Iterator[None]:
        """Have a daemon hang for a while."""
        os.kill(self._daemons[name].pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.wake(name)

    def wake(self, name: str = "slurmctld") -> None:
        """Let a daemon that hangs go on."""
        self._daemons[name].send_signal(signal.SIGCONT)

    def wait_for_nodes(self) -> None:
        """Wait until all nodes can take jobs."""

        def all_idle() -> bool:
            for name, daemon in self._daemons.items():
                if daemon.poll() is not None:
                    raise MachineError(f"{name} has ended: {self._last_words()}")
            done = self.run("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N", check=False)
            return sorted(done.stdout.split()) == sorted(self.nodes)

        wait_until(all_idle, f"{self.nodes} can take jobs", PATIENCE)

    def _last_words(self) -> str:
        lines = [line for path in sorted((self.folder / "log").iterdir()) for line in _lines(path)]
        return next((line for line in reversed(lines) if "fatal" in line or "error" in line), "")

    def stop(self) -> None:
        """End jobs and daemons, and remove the folder.

        Raises
        ------
        MachineError
            Raised if a process is left.
        """
        for name in ("slurmctld", *self.nodes):
            if name in self._daemons and self._daemons[name].poll() is None:
                os.kill(self._daemons[name].pid, signal.SIGCONT)
        if "slurmctld" in self._daemons and self._daemons["slurmctld"].poll() is None:
            self.run("scancel", "--user", "root", check=False)
        for name in (*self.nodes, "slurmctld"):
            self._end(name)
        _end_processes_of(self.configuration)
        shutil.rmtree(self.folder)

    def _end(self, name: str) -> None:
        daemon = self._daemons.get(name)
        if daemon is None:
            return
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.kill(name)

    # Commands.

    def run(
        self, *command: str, check: bool = True, timeout: float = 300, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that finds this Slurm, and return how it ended; fail if it fails, unless told otherwise."""
        environment = {**self.environment, **(env or {})}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def submit(self, script: str, *options: str) -> str:
        """Submit a shell script, and return the job's id."""
        output = () if any(each.startswith(("-o", "--output")) for each in options) else ("-o", "/dev/null")
        done = self.run("sbatch", "--parsable", *output, *options, "--wrap", script)
        return done.stdout.strip()

    def jobs(self) -> list[Job]:
        """Return all that the controller knows: also what has ended, until it forgets that."""
        out = self.run("squeue", "-h", "-r", "-t", "all", "-o", _COLUMNS).stdout
        rows = [line.split("|") for line in out.splitlines()]
        return [Job(array, task, state, comment, reason) for array, task, state, _, comment, reason in rows]

    def states(self, array: str) -> dict[str, str]:
        """Return the states of a job, or of the elements of an array, by id."""
        return {job.id: job.state for job in self.jobs() if job.array == array}

    def start_now(self, id: str) -> None:
        """Let a requeued job start without the delay that Slurm gives it."""
        self.run("scontrol", "update", f"jobid={id}", "StartTime=now")

    def clear(self) -> None:
        """Cancel all jobs, and wait until their processes have ended."""
        self.run("scancel", "--user", "root")
        wait_until(self._is_idle, "all jobs have ended", PATIENCE)

    def _is_idle(self) -> bool:
        out = self.run("squeue", "-h", "-o", "%A").stdout
        return not out.strip() and not any(_inside_a_job(each) for each in _processes_of(self.configuration))


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()


def _processes_of(configuration: Path) -> list[psutil.Process]:
    """Return the processes that were started with a configuration, but for this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and _is_of(process, configuration):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if _lives(process)]


def _is_of(process: psutil.Process, configuration: Path) -> bool:
    """Return whether a daemon, one that watches over a job, or a job's process belongs to a Slurm."""
    # ``slurmstepd`` writes its title over its environment, and stays in the folder of its ``slurmd``.
    found = process.environ().get("SLURM_CONF") == str(configuration)
    return found or process.cwd() == str(configuration.parent)


def _inside_a_job(process: psutil.Process) -> bool:
    """Return whether a process is a job's or watches over one."""
    try:
        return _name(process) == "slurmstepd" or "SLURM_JOB_ID" in process.environ()
    except psutil.Error:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return


def _end_processes_of(configuration: Path) -> None:
    """Kill what jobs and daemons have left."""

    def none_is_left() -> bool:
        left = _processes_of(configuration)
        for process in left:
            _kill(process)
        return not left

    try:
        wait_until(none_is_left, "no process of Slurm is left", PATIENCE)
    except TimeoutError as error:
        left = [" ".join(process.cmdline()) for process in _processes_of(configuration)]
        raise MachineError(f"processes are left: {left}") from error


def _end_left_overs() -> None:
    """Remove what tests that were killed have left."""
    for folder in FOLDER.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            _end_processes_of(folder / "slurm.conf")
            shutil.rmtree(folder, ignore_errors=True)
