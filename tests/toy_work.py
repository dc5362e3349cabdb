"""Functions that stand in for quanta in tests of execution models; worker processes import them from here."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Recorder:
    """Writes down who ran which quantum when, and misbehaves for some ids.

    Parameters
    ----------
    folder
        Gets a file per quantum.
    seconds
        How long a quantum takes.
    bombs
        What some ids do instead, by name of a function below.
    """

    folder: Path
    seconds: float = 0.0
    bombs: tuple[tuple[int, str], ...] = ()

    def __call__(self, id: int) -> None:
        with (self.folder / f"{id}.start").open("a") as out:
            out.write(f"{os.getpid()} {time.monotonic()}\n")
        for bad, name in self.bombs:
            if bad == id:
                globals()[name](self.folder)
        time.sleep(self.seconds)
        (self.folder / f"{id}.end").write_text(f"{time.monotonic()}")

    def started(self) -> set[int]:
        return {int(path.stem) for path in self.folder.glob("*.start")}

    def attempts(self, id: int) -> int:
        return len((self.folder / f"{id}.start").read_text().splitlines())


class UnpicklableError(Exception):
    """Cannot go through a pickle, and cannot be printed either."""

    def __init__(self, lock: object):
        super().__init__(lock)
        self.lock = lock

    def __reduce__(self) -> tuple:
        raise TypeError("no pickle of me")

    def __str__(self) -> str:
        raise ValueError("no text of me")


def note_open_files(folder: Path) -> None:
    with (folder / "open_files").open("a") as file:
        file.write(f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]}\n")


def stop_here(folder: Path) -> None:
    breakpoint()


def fail_without_gpu(folder: Path) -> None:
    if "HAS_GPU" not in os.environ:
        raise ValueError("the worker has no GPU")


def fail(folder: Path) -> None:
    try:
        raise KeyError("cause")
    except KeyError as cause:
        raise ValueError("bomb") from cause


def _times(folder: Path) -> int:
    """Return how often this was called."""
    with (folder / "times").open("a+") as file:
        file.write(".")
        return file.tell()


def fail_once(folder: Path) -> None:
    _fail(folder, 1)


def fail_twice(folder: Path) -> None:
    _fail(folder, 2)


def _fail(folder: Path, most: int) -> None:
    if (times := _times(folder)) <= most:
        raise ValueError(f"bomb {times}")


def die_once(folder: Path) -> None:
    logging.getLogger("lsst.toy").warning("the bomb goes off")
    if _times(folder) == 1:
        kill_self(folder)


def hang_once(folder: Path) -> None:
    if _times(folder) == 1:
        hang(folder)


def raise_unpicklable(folder: Path) -> None:
    raise UnpicklableError(threading.Lock())


def raise_huge(folder: Path) -> None:
    raise ValueError("x" * 50_000_000)


def exit_by_sys(folder: Path) -> None:
    sys.exit(7)


def exit_at_once(folder: Path) -> None:
    os._exit(3)


def segfault(folder: Path) -> None:
    logging.getLogger("toy").error("about to crash")
    ctypes.string_at(0)


def abort(folder: Path) -> None:
    os.abort()


def eat_memory(folder: Path) -> None:
    food = bytearray(2000 * 2**20)
    time.sleep(len(food))


def kill_self(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate_self(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def raise_memory_error(folder: Path) -> None:
    raise MemoryError


def repeatable_error(folder: Path) -> None:
    class RepeatableError(Exception):
        EXIT_CODE = 20

    raise RepeatableError


def kill_self_once(folder: Path) -> None:
    if not (folder / "killed").exists():
        (folder / "killed").touch()
        kill_self(folder)


def fail_until_defused(folder: Path) -> None:
    if not (folder / "defused").exists():
        fail(folder)


def hang_until_defused(folder: Path) -> None:
    while not (folder / "defused").exists():
        time.sleep(0.1)


def need_300_megabytes(folder: Path) -> None:
    """Do as with less memory than that, by what the slot says it has."""
    machine = Path(os.environ["_CONDOR_MACHINE_AD"]).read_text()
    if int(re.search(r"^Memory = (\d+)", machine, re.MULTILINE).group(1)) < 300:
        raise MemoryError


def eat_600_megabytes(folder: Path) -> None:
    """Take as much memory, and stay until somebody minds, where the slot has less."""
    food = b"x" * (600 * 2**20)
    machine = Path(os.environ["_CONDOR_MACHINE_AD"]).read_text()
    if int(re.search(r"^Memory = (\d+)", machine, re.MULTILINE).group(1)) * 2**20 < len(food):
        time.sleep(3600)


def note_environment(folder: Path) -> None:
    (folder / f"{os.getpid()}.environment").write_bytes(Path("/proc/self/environ").read_bytes())


def hang(folder: Path) -> None:
    time.sleep(3600)


def hang_in_children(folder: Path) -> None:
    subprocess.run(["sleep", "3600"], check=True)


def note_root(folder: Path) -> None:
    (folder / "root").write_text(str(Path("/").stat().st_dev))


def kill_driver_once(folder: Path) -> None:
    """Kill the process that drives this worker for an engine; between them is the server that forks workers."""
    if _times(folder) == 1:
        psutil.Process(psutil.Process(os.getppid()).ppid()).kill()
        hang(folder)


def stop_driver_once(folder: Path) -> None:
    """Stop the process that drives this worker for an engine, as if its machine were out of reach."""
    if _times(folder) == 1:
        psutil.Process(psutil.Process(os.getppid()).ppid()).suspend()
        hang(folder)


def kill_manager_once(folder: Path) -> None:
    """Kill the manager of Parsl's workers on this machine."""
    if _times(folder) == 1:
        driver = psutil.Process(psutil.Process(os.getppid()).ppid())
        next(each for each in driver.parents() if "process_worker_pool" in " ".join(each.cmdline())).kill()
        hang(folder)


def kill_victim(folder: Path) -> None:
    """Kill the process that a file names, with its children, and wait until it is dead."""
    victim = psutil.Process(int((folder / "victim").read_text()))
    kill_family(victim)
    while lives(victim):
        time.sleep(0.01)


def kill_victim_once(folder: Path) -> None:
    """Kill that one of two workers of an engine which has this process, with all its processes, and so this one."""
    if _times(folder) == 1:
        ours = {process.pid for process in psutil.Process().parents()}
        (victim,) = ours & set(map(int, (folder / "victims").read_text().split()))
        kill_family(psutil.Process(victim))
        hang(folder)


def lives(process: psutil.Process) -> bool:
    """Return whether a process has not ended; it may do so at any moment."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def kill_family(victim: psutil.Process) -> None:
    """Kill a process and all that it has started."""
    for process in [victim, *victim.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def hang_with_family(folder: Path) -> None:
    """Hang together with a child, a grandchild that was orphaned, and one in a session of its own."""
    orphan = "import os, time; os.fork() and os._exit(0); time.sleep(3600)"
    for options in ({}, {"start_new_session": True}):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], **options)
    subprocess.Popen([sys.executable, "-c", orphan])
    (folder / "family").write_text("started")
    time.sleep(3600)


def ignore_interrupts(folder: Path) -> None:
    deadline = time.monotonic() + 3600
    while time.monotonic() < deadline:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            (folder / "ignored").write_text("yes")


def raise_interrupt(folder: Path) -> None:
    raise KeyboardInterrupt


def catch_interrupt(folder: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        raise_interrupt(folder)


def interrupt_self(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def interrupt_self_and_catch(folder: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        interrupt_self(folder)


def leave_thread(folder: Path) -> None:
    threading.Thread(target=time.sleep, args=(3600,), daemon=False).start()


def leave_child(folder: Path) -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)


def close_descriptors(folder: Path) -> None:
    faulthandler.disable()
    os.closerange(3, 1000)


def take_descriptors(folder: Path) -> None:
    """Close the worker's descriptors, and open a file in place of each."""
    close_descriptors(folder)
    for _ in range(20):
        os.open(folder / "mine", os.O_RDWR | os.O_CREAT)


def log_oddly(folder: Path) -> None:
    """Log the name of a file that is no UTF-8, and a line that cannot be formatted."""
    logging.getLogger("toy").error("cannot read %s", os.fsdecode(b"caf\xe9.fits"))
    logging.getLogger("toy").error("%d stars", "many")


def fail_with_surrogate(folder: Path) -> None:
    raise ValueError(os.fsdecode(b"caf\xe9.fits"))


def log_much(folder: Path) -> None:
    for _ in range(2000):
        logging.getLogger("toy").error("y" * 10_000)


def real_time_signal(folder: Path) -> None:
    os.kill(os.getpid(), 40)


def fork_and_go_on(folder: Path) -> None:
    """Return twice: from this process, and from a child of it that goes on as if it were the same."""
    os.fork()


def fork_and_go_on_later(folder: Path) -> None:
    """Do the same, with the child coming after."""
    if os.fork() == 0:
        time.sleep(0.3)


def write_into_pipes(folder: Path) -> None:
    """Write into every pipe that is open for writing, as a library may that mixes up its descriptors."""
    _write_into_pipes(b"no report of anybody's")


def answer_for_another(folder: Path) -> None:
    _write_into_pipes(_answer_for(6))


def answer_twice(folder: Path) -> None:
    _write_into_pipes(2 * _answer_for(4))


def _answer_for(id: int) -> bytes:
    # Imported here: LSST's command imports this module, too, where there is no pipetask.
    from pipetask.executors.pool.messages import frame
    from pipetask.outcome import QuantumOutcome, Status

    return frame(QuantumOutcome(id, Status.SUCCEEDED))


def _write_into_pipes(data: bytes) -> None:
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if int(link.name) > 2 and str(link.readlink()).startswith("pipe:"):
                os.write(int(link.name), data)
    time.sleep(60)


def list_what_programs_get(folder: Path) -> None:
    listed = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True)
    (folder / "inherited").write_text(listed.stdout)


def log_without_room(folder: Path) -> None:
    """Log where nothing more can be written to files, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    logging.getLogger("toy").error("this is never read")
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@dataclass(frozen=True)
class Spender:
    """Measures itself as a runner does, uses some of everything, and comes to its end in some way.

    Before that it lets a child use more memory: that is no quantum's.
    """

    folder: Path
    end: str

    def __call__(self, id: int) -> None:
        from pipetask.runner.meter import Meter

        if id == 0:
            subprocess.run([sys.executable, "-c", "bytearray(150 * 2**20)"], check=True)
            return
        meter = Meter()
        meter.start(id)
        food = bytearray(SPENT_MEMORY)
        (self.folder / "written").write_bytes(memoryview(food)[:SPENT_BYTES])
        (self.folder / "written").read_bytes()
        while time.process_time() < meter._cpu + SPENT_SECONDS:
            pass
        (self.folder / "spent").touch()
        globals()[self.end](self.folder)


SPENT_MEMORY = 300 * 2**20
SPENT_BYTES = 3_000_000
SPENT_SECONDS = 0.3


@dataclass(frozen=True)
class NotesDevices:
    """Writes down which GPUs a quantum is given, as CUDA is told."""

    folder: Path

    def __call__(self, id: int) -> None:
        (self.folder / str(id)).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
