"""Hand a DAG to HTCondor, once."""

from __future__ import annotations

import time
from contextlib import chdir
from pathlib import Path
from typing import Any

from ...errors import PipetaskError, reason_of
from .bindings import condor, remedy, says_condor, schedd
from .configuration import DagmanSettings
from .quoting import attribute, value
from .submit_description import RUN_ATTRIBUTE

__all__ = ["find_dagman", "submit"]

_DAGMAN_UNIVERSE = 7
"""DAGMan is a job of the scheduler universe."""

_SECONDS_TO_LOOK = 10.0
"""How long a submission whose answer got lost is looked for."""


def submit(dag: Path, run_id: str, settings: DagmanSettings, name: str) -> tuple[int, bool]:
    """Submit a DAG, unless it is in the queue already.

    Parameters
    ----------
    dag
        The file.
    run_id
        The run's id, which finds its job in the queue.
    settings
        Of the DAG.
    name
        What the run is called in the queue, where the settings do not say.

    Returns
    -------
    cluster
        Number of DAGMan's job.
    found
        Whether it was in the queue already.

    Raises
    ------
    PipetaskError
        If HTCondor does not take it.
    """
    queue = schedd()
    cluster = find_dagman(queue, run_id)
    if cluster is not None:
        return cluster, True
    with says_condor(f"{dag} cannot be submitted"):
        description = _dagman_job(dag, run_id, settings, name)
    try:
        return int(queue.submit(description).cluster()), False
    except Exception as error:
        cure = remedy(error)
        cluster = _look_for(run_id) if cure is None else None
        if cluster is not None:
            return cluster, True
        raise PipetaskError(
            f"HTCondor has not taken {dag} ({reason_of(error)}): {cure or 'wait until it does again.'}  Then submit it "
            f"with 'pipetask restart {dag.parent.parent}'."
        ) from error


def find_dagman(queue: Any, run_id: str) -> int | None:
    """Return the number of the run's DAGMan job, `None` if there is none in the queue."""
    constraint = f"{RUN_ATTRIBUTE} == {attribute(run_id)} && JobUniverse == {_DAGMAN_UNIVERSE}"
    with says_condor("the queue cannot be read"):
        jobs = queue.query(constraint=constraint, projection=["ClusterId"])
    return int(jobs[0]["ClusterId"]) if jobs else None


def _look_for(run_id: str) -> int | None:
    """Look whether a submission has arrived whose answer has not."""
    deadline = time.monotonic() + _SECONDS_TO_LOOK
    while time.monotonic() < deadline:
        try:
            cluster = find_dagman(schedd(), run_id)
        except PipetaskError:
            cluster = None
        if cluster is not None:
            return cluster
        time.sleep(1)
    return None


def _dagman_job(dag: Path, run_id: str, settings: DagmanSettings, name: str) -> Any:
    options = {
        "MaxIdle": settings.max_idle,
        "MaxJobs": settings.max_jobs,
        "Priority": settings.priority,
        "BatchName": settings.batch_name or name,
        "SuppressNotification": True,
        "Force": False,
        # What DAGMan's submit file of an earlier submission says is to be replaced, and its rescue files are not.
        "UpdateSubmit": True,
    }
    # By its name alone: the path, which may have quotes or dollars in it, would go into DAGMan's submit file as it is.
    with chdir(dag.parent):
        description = condor().Submit.from_dag(dag.name, options)
    description["initialdir"] = value(str(dag.parent), "the run directory")
    description[f"My.{RUN_ATTRIBUTE}"] = attribute(run_id)
    return description
