"""Stand-ins for the commands of PJM, as far as its manual says what they do: ``python -m stand_ins.pjm_commands``."""

from __future__ import annotations

import getopt
import os
import re
import shutil
import sys
from pathlib import Path

from stand_ins.jobs import FOLDER_VARIABLE, Job, Jobs

__all__ = ["main"]

_STATES = {"waits": "QUE", "idle": "QUE", "runs": "RUN", "over": "EXT", "deleted": "CCL"}
_LONG = ["step", "sparam=", "spath=", "mail-list="]


class _RefusedError(Exception):
    """A command refuses something, with a number."""


def pjsub(words: list[str]) -> None:
    """Put a sub-job into the queue."""
    options, (script,) = getopt.gnu_getopt(words, "L:N:o:e:sg:", _LONG)
    given = dict(options)
    parameters = dict(each.split("=") for each in given["--sparam"].split(","))
    if "--step" not in given or len(given["-N"]) > 63:
        raise _RefusedError("0001 pjsub Invalid option.")
    jobs = Jobs.here()
    before = [job for job in jobs.all() if job.key.partition("_")[0] == parameters.get("jid")]
    if "jid" in parameters and all(jobs.is_over(job) for job in before):
        raise _RefusedError(f"0060 pjsub Job {parameters['jid']} does not exist.")
    elapse = re.search(r"elapse=(\d+):(\d+):(\d+)", given["-L"])
    if elapse is None:
        raise _RefusedError("0057 pjsub elapse is not specified.")
    with jobs.counted() as number:
        key = f"{parameters.get('jid', number)}_{parameters['sn']}"
        copy = jobs.folder / f"{key}.sh"
        shutil.copy(script, copy)
        jobs.add(
            Job(
                key=key,
                name=given["-N"],
                script=str(copy),
                cwd=str(Path.cwd()),
                out=given["-o"],
                err=given["-e"],
                stats=given["--spath"],
                needs=tuple(job.key for job in before),
                seconds=int(elapse[1]) * 3600.0 + int(elapse[2]) * 60 + int(elapse[3]),
                order=number,
            )
        )
    print(f"[INFO] PJM 0000 pjsub Job {key} submitted.")


def pjstat(words: list[str]) -> None:
    """Print a listing."""
    getopt.gnu_getopt(words, "Ev", ["choose="])
    jobs = Jobs.here()
    print("JOB_ID       JOB_NAME             ST")
    alive = {job.key.partition("_")[0] for job in jobs.all() if not jobs.is_over(job)}
    steps: set[str] = set()
    for job in jobs.all():
        step = job.key.partition("_")[0]
        if step not in alive:
            continue
        if step not in steps:
            steps.add(step)
            print(f"{step:12} {job.name:20} RUN")
        deleted = jobs.text(f"{job.key}.0", "ended") == "deleted"
        print(f"{job.key:12} {job.name:20} {_STATES['deleted' if deleted else jobs.state(job, 0)]}")


def pjdel(words: list[str]) -> None:
    """Delete sub-jobs."""
    jobs, gone = Jobs.here(), []
    for word in words:
        if jobs.find(word) is None:
            gone.append(word)
        else:
            jobs.flag(word, "deleted")
    if gone:
        raise _RefusedError(f"0181 pjdel Job {gone[0]} does not exist.")


_COMMANDS = {"pjsub": pjsub, "pjstat": pjstat, "pjdel": pjdel}


def main(name: str, folder: str, words: list[str]) -> int:
    """Run a command."""
    os.environ[FOLDER_VARIABLE] = folder
    try:
        _COMMANDS[name](words)
    except _RefusedError as error:
        print(f"[ERR.] PJM {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
