"""A pool for a test run, on a bare Debian and without a container engine.

::

    outside, as root                     the pool's namespaces: mounts, processes, network, host name, IPC
    ────────────────                     ─────────────────────────────────────────────────────────────────
    pytest ═════ life line, a pipe ════► PID 1: world.sh makes the mounts, machines.sh starts what follows
      │                                   ├─ access point: condor_master ─ collector, negotiator, schedd ─ DAGMan …
      │                                   ├─ execute node: condor_master ─ startd ─ starters ─ jobs
      └─ pool.run(…) ── nsenter ────────► └─ condor_q, pipetask, …

    outside                              is inside
    ───────                              ─────────
    condor-root/… (see root.py)          /        Debian 13 with HTCondor, made once on a machine
    interpreter, environment, sources    at the same path, read-only
    /var/tmp/pipetask-condor-…           at the same path: configuration, logs and spool of both machines
    /var/tmp/pipetask-condor-…/work      at the same path: what tests and jobs share (see `PoolOptions.shared`)
                                         /tmp, /dev/shm: in memory, of this pool alone

Everything inside runs as one ordinary user, because HTCondor runs no job for root. The host's interpreter runs in
there, environment and all, because Debian 13 has newer versions of the libraries that it needs. So what is tested is
what is installed for the tests, on their Python.

Every pool has a network of its own, with a loopback interface only. So any number of pools use the same ports.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from condor.pool import Pool, popen, python_path
from condor.root import GID, UID, PoolError, find_root
from condor.world import World
from pipetask.testing.plain_runs import wait_until

__all__ = ["PersonalPool", "PoolOptions"]

FOLDER, PREFIX = "/var/tmp", "pipetask-condor-"
"""Where pools have their files. (DAGMan refuses to write its logs below ``/tmp``.)"""

COMMON = Path(__file__).with_name("condor_config")

ACCESS_POINT = """
use ROLE : CentralManager
use ROLE : Submit
"""

EXECUTE_NODE = """
use ROLE : Execute
SHARED_PORT_PORT = 9619
NUM_CPUS = {cpus}
MEMORY = {memory}
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
"""


@dataclass(frozen=True)
class PoolOptions:
    """What a pool has to offer.

    Parameters
    ----------
    cpus
        How many CPUs the execute node says it has, in one partitionable slot.
    memory
        How much memory it says it has, in MB. A job that takes more than its slot has is held.
    shared
        Whether the execute node sees the folder ``work``. Without it, files go by HTCondor's file transfer.
    configuration
        More lines for the configuration of both machines.
    seen
        More folders that commands and jobs see at the same path, where they can only read.
    """

    cpus: int = 4
    memory: int = 8192
    shared: bool = True
    configuration: str = ""
    seen: tuple[Path, ...] = ()


class PersonalPool(Pool):
    """A pool that lives until `stop`, and no longer than this process.

    Parameters
    ----------
    options
        What the pool has to offer.

    Raises
    ------
    PoolError
        Raised if there can be none on this machine.
    """

    def __init__(self, options: PoolOptions | None = None) -> None:
        options = options or PoolOptions()
        root = find_root()
        _remove_left_overs()
        with ExitStack() as stack:
            self._state = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=FOLDER))
            stack.callback(shutil.rmtree, self._state)
            super().__init__(self._state / "work")
            self._configure(options)
            self._world = World(root, self._state, options.shared, options.seen)
            stack.callback(self._world.end)
            self._wait_until_ready()
            self._check_interpreter()
            self._stack = stack.pop_all()

    def _configure(self, options: PoolOptions) -> None:
        self._configure_machine("access", ACCESS_POINT, options)
        execute_node = EXECUTE_NODE.format(cpus=options.cpus, memory=options.memory)
        self._configure_machine("execute", execute_node, options)
        self.work.mkdir()
        self._home.mkdir()
        self.hand_over(self._state)

    def _configure_machine(self, name: str, role: str, options: PoolOptions) -> None:
        folder = self._state / name
        for part in ("log", "spool", "execute", "run", "lock"):
            (folder / part).mkdir(parents=True)
        domain = "pool" if options.shared else name
        lines = [
            f"LOCAL_DIR = {folder}",
            f"include : {COMMON}",
            role,
            "UID_DOMAIN = pool",
            f"FILESYSTEM_DOMAIN = {domain}",
            f'STARTER_JOB_ENVIRONMENT = "PYTHONPATH={python_path()}"',
            options.configuration,
        ]
        (folder / "condor_config").write_text("\n".join(lines) + "\n")

    @property
    def _home(self) -> Path:
        return self._state / "home"

    def _wait_until_ready(self) -> None:
        try:
            wait_until(lambda: not self._world.is_alive() or self.answers(), "HTCondor answers")
        except TimeoutError as error:
            why = self.run("condor_q").err.strip().partition("\n")[0]
            raise PoolError(f"HTCondor does not answer: {why or 'it has no slot'}") from error
        if not self._world.is_alive():
            raise PoolError(f"cannot start HTCondor: {self._world.last_words()}")

    def _check_interpreter(self) -> None:
        """Raise if the Python of these tests is not what runs inside, or what they test cannot be read there.

        A Python in ``/usr`` is part of the host's Debian; where that is another one, so is the Python.
        """
        done = self.run(sys.executable, "-c", "import sys, pipetask; print(sys.version)")
        if done.out.strip() != sys.version:
            why = (done.err or done.out).strip().rpartition("\n")[2]
            raise PoolError(f"{sys.executable} cannot be used by the user of the pool, on Debian 13: {why}")

    def stop(self) -> None:
        self._stack.close()

    def start(
        self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        folders = [str(Path(sys.executable).parent), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        base = {
            "PATH": ":".join(folders),
            "HOME": str(self._home),
            "USER": "observer",
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "PYTHONPATH": python_path(),
            "CONDOR_CONFIG": str(self._state / "access" / "condor_config"),
        }
        return popen(self._world.inside(command, cwd or self.work, {**base, **(env or {})}))

    def send_signal(self, process: subprocess.Popen[str], number: int) -> None:
        for child in psutil.Process(process.pid).children():
            child.send_signal(number)

    def hand_over(self, path: Path) -> None:
        for each in [path, *path.rglob("*")]:
            shutil.chown(each, UID, GID)

    def kill(self, pattern: str) -> None:
        """Kill all processes in the pool with a command line that matches a regular expression.

        Raises
        ------
        RuntimeError
            Raised if there is none.
        """
        self.query("pkill", "-KILL", "--full", pattern)

    def _end_schedd(self) -> None:
        self.kill("^condor_schedd")


def _remove_left_overs() -> None:
    """Remove the files of pools whose process was killed."""
    for folder in Path(FOLDER).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
