"""Runs the jobs of a stand-in as processes: ``python -m stand_ins.scheduler FOLDER SYSTEM GRACE``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from stand_ins.jobs import Job, Jobs

__all__ = ["Scheduler"]

_SLOTS = 4
_TICK = 0.1


@dataclass
class _Process:
    job: Job
    task: int
    process: subprocess.Popen[bytes]
    asked: float | None = None
    """When it was asked to end."""

    why: str = ""


class Scheduler:
    """Starts what can begin, and ends what has been deleted, or is said to have reached its walltime.

    Parameters
    ----------
    folder
        The folder of the stand-in.
    system
        Whose stand-in it is.
    grace
        Seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, folder: Path, system: str, grace: float):
        self._jobs, self._system, self._folder, self._grace = Jobs(folder), system, folder, grace
        self._running: list[_Process] = []
        self._over: set[str] = set()

    def run(self) -> None:
        """Run until this process is ended."""
        while True:
            self.step()
            time.sleep(_TICK)

    def step(self) -> None:
        """Look at all jobs once."""
        for each in list(self._running):
            self._look_at(each)
        for job in self._jobs.all():
            if job.key in self._over:
                continue
            self._end_what_was_deleted(job)
            if self._jobs.is_over(job):
                self._over.add(job.key)
            else:
                self._start_what_can_begin(job)

    def _start_what_can_begin(self, job: Job) -> None:
        for task in job.tasks:
            if len(self._running) >= _SLOTS:
                return
            if self._jobs.state(job, task) == "idle":
                self._start(job, task)

    def _start(self, job: Job, task: int) -> None:
        out = Path(job.cwd, job.out.format(task=task))
        err = out if job.err is None else Path(job.cwd, job.err)
        with out.open("ab") as stdout, err.open("ab") as stderr:
            process = subprocess.Popen(
                ["/bin/sh", job.script],
                cwd=self._folder if self._system == "pbs" else job.cwd,
                env={"PATH": os.defpath, "HOME": str(self._folder), **self._variables(job, task)},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._jobs.flag(f"{job.key}.{task}", "started", str(process.pid))
        self._running.append(_Process(job, task, process))

    def _variables(self, job: Job, task: int) -> dict[str, str]:
        if self._system == "pjm":
            number, _, step = job.key.partition("_")
            return {"PJM_JOBID": number, "PJM_STEPNUM": step, "PJM_SUBJOBID": job.key}
        if job.count is None:
            return {"PBS_JOBID": f"{job.key}.stand-in"}
        index = "PBS_ARRAYID" if self._system == "torque" else "PBS_ARRAY_INDEX"
        return {"PBS_JOBID": f"{job.key}[{task}].stand-in", index: str(task)}

    def _look_at(self, each: _Process) -> None:
        now = time.monotonic()
        if each.process.poll() is not None:
            # Whatever it has started ends with it.
            self._signal(each, signal.SIGKILL)
            self._say(each)
            how = each.why if each.why == "deleted" else str(each.process.returncode)
            self._jobs.flag(f"{each.job.key}.{each.task}", "ended", how)
            self._running.remove(each)
        elif each.asked is not None:
            if now - each.asked > self._grace:
                self._signal(each, signal.SIGKILL)
        elif self._jobs.has(f"{each.job.key}.{each.task}", "late"):
            self._end(each, "time")

    def _end(self, each: _Process, why: str) -> None:
        each.asked, each.why = time.monotonic(), why
        self._signal(each, signal.SIGTERM)

    def _signal(self, each: _Process, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, number)

    def _say(self, each: _Process) -> None:
        """Write down how a job ended, in the words of the manuals."""
        if each.job.stats is not None:
            code = {"time": 11, "deleted": 1}.get(each.why, 0)
            Path(each.job.cwd, each.job.stats).write_text(
                f" JOB ID    : {each.job.key}\n PJM CODE    : {code}\n"
            )
        elif each.why == "time":
            limit = round(each.job.seconds)
            with Path(each.job.cwd, each.job.out.format(task=each.task)).open("a") as out:
                out.write(f"=>> PBS: job killed: walltime {limit + 1} exceeded limit {limit}\n")

    def _end_what_was_deleted(self, job: Job) -> None:
        running = {each.task: each for each in self._running if each.job.key == job.key}
        for task in job.tasks:
            if not self._jobs.was_deleted(job, task):
                continue
            if task in running:
                if running[task].asked is None:
                    self._end(running[task], "deleted")
            elif not self._jobs.has(f"{job.key}.{task}", "ended"):
                self._jobs.flag(f"{job.key}.{task}", "ended", "deleted")

    def close(self) -> None:
        """End all jobs."""
        for each in self._running:
            self._signal(each, signal.SIGKILL)
            each.process.wait()


def main(folder: str, system: str, grace: str) -> None:
    """Schedule until SIGTERM."""
    scheduler = Scheduler(Path(folder), system, float(grace))

    def stop(number: int, frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    try:
        scheduler.run()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        scheduler.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
