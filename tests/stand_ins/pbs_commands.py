"""Stand-ins for the commands of PBS, as far as its manual says what they do: ``python -m stand_ins.pbs_commands``."""

from __future__ import annotations

import getopt
import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

from stand_ins.jobs import FOLDER_VARIABLE, Job, Jobs

__all__ = ["RefusedError", "main"]

_TORQUE = "STAND_IN_TORQUE"
_LETTERS = {"held": "H", "waits": "H", "idle": "Q", "runs": "R", "over": "X"}
_SUBSTATES = {"deleted": "91", "0": "92"}


class RefusedError(Exception):
    """A command refuses something."""


def qsub(words: list[str]) -> None:
    """Put a job into the queue."""
    torque = _TORQUE in os.environ
    options, (script,) = getopt.gnu_getopt(words, "a:A:hj:J:l:m:M:N:o:P:q:r:S:t:v:W:")
    given = dict(options)
    resources = [text for name, text in options if name == "-l"]
    if len(given["-N"]) > 15 or not given["-N"][0].isalpha():
        raise RefusedError("illegal -N value")
    jobs = Jobs.here()
    needs = _needs(jobs, given.get("-W", ""), torque=torque)
    count = _count(given, torque=torque)
    with jobs.counted() as number:
        copy = jobs.folder / f"{number}.sh"
        shutil.copy(script, copy)
        index = "" if count is None else "[{task}]"
        job = Job(
            key=str(number),
            name=given["-N"],
            script=str(copy),
            cwd=str(Path.cwd()),
            out=f"{given['-o']}/{number}{index}.stand-in.OU",
            count=count,
            needs=tuple(needs),
            held="-h" in given,
            mark=given["-v"],
            seconds=_seconds(resources),
            order=number,
        )
        jobs.add(job)
    print(_called(job))


def _count(given: dict[str, str], *, torque: bool) -> int | None:
    text = given.get("-t" if torque else "-J")
    if text is None:
        return None
    found = re.fullmatch(r"0-(\d+)(%\d+)?", text)
    if found is None or (int(found[1]) == 0 and not torque):
        raise RefusedError("illegal -J value")
    return int(found[1]) + 1


def _needs(jobs: Jobs, text: str, *, torque: bool) -> list[str]:
    if not text:
        return []
    words = text.removeprefix("depend=").split(",")
    needs = []
    for word in words:
        kind, *ids = word.split(":")
        for id in ids:
            number = re.match(r"\d+", id)
            job = None if number is None else jobs.find(number[0])
            if job is None:
                raise RefusedError(f"Unknown Job Id {id}")
            if kind != ("afteranyarray" if torque and job.count is not None else "afterany"):
                raise RefusedError("illegal -W value")
            needs.append(job.key)
    return needs


def _seconds(resources: list[str]) -> float:
    for resource in resources:
        if found := re.search(r"walltime=(\d+):(\d+):(\d+)", resource):
            return int(found[1]) * 3600.0 + int(found[2]) * 60 + int(found[3])
    raise RefusedError("no walltime")


def _called(job: Job) -> str:
    return f"{job.key}{'' if job.count is None else '[]'}.stand-in"


def qselect(words: list[str]) -> None:
    """Print what the jobs of a name are called; those that have ended with the history, or always with Torque."""
    torque = _TORQUE in os.environ
    given = dict(getopt.gnu_getopt(words, "N:" if torque else "xN:")[0])
    jobs = Jobs.here()
    for job in jobs.all():
        if job.name == given["-N"] and (torque or "-x" in given or not jobs.is_over(job)):
            print(_called(job))


def qstat(words: list[str]) -> None:
    """Print a listing of jobs, or of the server, or of a queue."""
    torque = _TORQUE in os.environ
    options, ids = getopt.gnu_getopt(words, "BQft" if torque else "BQftx")
    given = {name for name, _ in options}
    if "-B" in given:
        print("Server: stand-in\n    server_state = Active\n    max_array_size = 10000")
        return
    if "-Q" in given:
        if ids != ["short"]:
            raise RefusedError(f"Unknown queue {ids[0]}")
        return
    jobs = Jobs.here()
    for job in _operands(jobs, ids, ended=torque or "-x" in given):
        if job.count is not None:
            _list(jobs, job, None, torque=torque)
        for task in job.tasks:
            _list(jobs, job, task, torque=torque)


def _list(jobs: Jobs, job: Job, task: int | None, *, torque: bool) -> None:
    states = {jobs.state(job, each) for each in job.tasks}
    whole = states & {"held", "waits"} if len(states) == 1 else set()
    state = "H" if whole else "B" if task is None else _LETTERS[jobs.state(job, task)]
    if job.count is not None and task is not None and whole:
        state = "Q"  # elements of an array that is held are not
    if states == {"over"} and (task is None or job.count is None):
        state = "F"
    index = "" if job.count is None else "[]" if task is None else f"[{task}]"
    lines = {"Job_Name": job.name, "job_state": state}
    if whole:
        lines["Hold_Types"] = "u" if whole == {"held"} else "s"
    if ended := jobs.text(f"{job.key}.{task or 0}", "ended") if state in "XF" else "":
        lines |= _history(ended, torque=torque)
    if needs := jobs.needs(job):
        lines["depend"] = f"afterany:{':'.join(needs)}@stand-in"
    if task is None or job.count is None:
        lines["Variable_List"] = (
            f"PBS_O_HOME=/home/me,PBS_O_LANG=C.UTF-8,PBS_O_PATH=/usr/bin:/bin:/usr/sbin,{job.mark}"
        )
    print(f"Job Id: {job.key}{index}.stand-in")
    for key, value in lines.items():
        first, *more = textwrap.wrap(f"{key} = {value}", 70, break_on_hyphens=False)
        print(f"    {first}")
        for line in more:
            print(f"\t{line}")
    print()


def _history(ended: str, *, torque: bool) -> dict[str, str]:
    """Return what is kept of an element that has ended."""
    if torque:
        return {"job_state": "C", "exit_status": "271" if ended == "deleted" else ended}
    return {"substate": _SUBSTATES.get(ended, "93")}


def qrls(words: list[str]) -> None:
    """Release jobs."""
    jobs = Jobs.here()
    for job in _operands(jobs, getopt.gnu_getopt(words, "h:")[1]):
        jobs.flag(job.key, "released")


def qdel(words: list[str]) -> None:
    """Delete jobs."""
    jobs = Jobs.here()
    for word in words:
        task = re.search(r"\[(\d+)\]", word)
        for job in _operands(jobs, [word]):
            jobs.flag(job.key if task is None else f"{job.key}.{task[1]}", "deleted")


def qalter(words: list[str]) -> None:
    """Change what a job waits for.  PBS aborts one that is to wait for what is gone."""
    options, ids = getopt.gnu_getopt(words, "W:")
    jobs = Jobs.here()
    for job in _operands(jobs, ids):
        try:
            needs = _needs(jobs, dict(options)["-W"], torque=_TORQUE in os.environ)
        except RefusedError:
            jobs.flag(f"{job.key}.0", "ended", "aborted")
        else:
            jobs.flag(job.key, "needs", " ".join(needs))


def _operands(jobs: Jobs, ids: list[str], *, ended: bool = False) -> list[Job]:
    """Return jobs; those that there are not are complained of at the end."""
    keys = {id: id.partition(".")[0].partition("[")[0] for id in ids}
    there = {job.key: job for job in jobs.all() if ended or not jobs.is_over(job)}
    found = {id: there.get(key) for id, key in keys.items()}
    _complaints.extend(f"Unknown Job Id {id}" for id, job in found.items() if job is None)
    return [job for job in found.values() if job is not None]


_complaints: list[str] = []

_COMMANDS = {"qsub": qsub, "qselect": qselect, "qstat": qstat, "qrls": qrls, "qalter": qalter, "qdel": qdel}


def main(name: str, folder: str, words: list[str]) -> int:
    """Run a command."""
    os.environ[FOLDER_VARIABLE] = folder
    try:
        _COMMANDS[name](words)
    except (RefusedError, getopt.GetoptError) as error:
        _complaints.append(str(error))
    for line in _complaints:
        print(f"{name}: {line}", file=sys.stderr)
    return 153 if _complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
