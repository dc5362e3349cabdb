"""Submit, cancel and restart a run on HTCondor, and make sure that it has happened."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from ...errors import PipetaskError
from ..exit_codes import ExitCode
from ..ledger import Ledger, Remainder, UnfinishedNode
from ..names import FINAL, FIRST
from ..run_directory import RunDirectory
from ..system import Restarted
from .bindings import condor, says_condor, schedd
from .configuration import CondorConfiguration, JobSettings
from .dag_text import retried
from .descriptions import rewrite
from .events import DagEvents
from .layout import OURS, Layout
from .memory import raised
from .quoting import attribute
from .slots import check_requests, largest_slots, named
from .submission import find_dagman, submit
from .submit_description import RUN_ATTRIBUTE

__all__ = ["cancel", "restart", "submit_new"]

_RUNNING = 2
"""HTCondor's number for the state of a job that runs."""

_PATIENCE = 300.0
"""Seconds that jobs have to leave the queue."""


def cancel(directory: RunDirectory, patience: float = _PATIENCE) -> bool:
    """Remove a run from the queue, and wait until all of its jobs have left.

    DAGMan, if it still runs, lets the final job register what has been done.

    Parameters
    ----------
    directory
        The run.
    patience
        Seconds to wait.

    Returns
    -------
    cancelled
        `False` if there was nothing in the queue to cancel.

    Raises
    ------
    PipetaskError
        If HTCondor does not answer, or if jobs do not leave the queue.
    """
    queue, run_id = schedd(), directory.facts.id
    cluster = find_dagman(queue, run_id)
    if cluster is None and not _jobs(queue, run_id):
        return False
    with says_condor("the run cannot be removed"):
        action = condor().JobAction.Remove
        # DAGMan removes its jobs itself; only where it is gone we have to.
        queue.act(
            action, [f"{cluster}.0"] if cluster is not None else _mine(run_id), reason="pipetask cancel"
        )
    deadline = time.monotonic() + patience
    while left := _jobs(queue, run_id):
        if _registers(queue, run_id):  # which takes as long as it takes
            deadline = time.monotonic() + patience
        elif time.monotonic() > deadline:
            raise PipetaskError(
                f"{len(left)} jobs of {directory.path} are still in the queue (such as {left[0]}): try condor_rm "
                f"-forcex {left[0]}, and then pipetask run-node {directory.path} final"
            )
        time.sleep(1)
    return True


def submit_new(directory: RunDirectory) -> int:
    """Submit a run that was just written, and return the number of DAGMan's job.

    Parameters
    ----------
    directory
        The run.

    Raises
    ------
    PipetaskError
        If jobs of several tasks ask together for what no slot has, or if HTCondor does not take it.
    """
    layout = Layout(directory.path)
    configuration = CondorConfiguration.load(str(layout.configuration))
    with directory.index() as index:
        kinds = {tuple(counts) for counts in index.counts().values()}
    check_requests(
        _requests(configuration, kinds),
        largest_slots(),
        "and write the run again (--run-dir, --extend-run); or, when the pool has such a slot, submit it with "
        f"'pipetask restart {directory.path}'",
    )
    cluster, _ = submit(layout.dag, directory.facts.id, configuration.dagman, directory.facts.output_run)
    return cluster


def restart(directory: RunDirectory) -> Restarted:
    """Submit what is missing of a run, or all of one that was never submitted.

    Parameters
    ----------
    directory
        The run.

    Raises
    ------
    PipetaskError
        If HTCondor does not take it.
    """
    layout = Layout(directory.path)
    configuration = CondorConfiguration.load(str(layout.configuration))
    queue = schedd()
    cluster = find_dagman(queue, directory.facts.id)
    if cluster is not None:
        return Restarted(str(cluster), True, 0)
    if left := _jobs(queue, directory.facts.id):
        raise PipetaskError(
            f"{len(left)} jobs of {directory.path} are still in the queue (such as {left[0]}): wait for them, or "
            "remove them with pipetask cancel."
        )
    remainder = Ledger(directory).remainder()
    done = [*([FIRST] if directory.begun.exists() else []), *remainder.done]
    memory = _memory(layout, configuration, remainder)
    check_requests(
        _requests(configuration, {node.labels for node in remainder.left}),
        largest_slots(),
        "in a run that is written again (--run-dir, --extend-run), or restart this one when the pool has such a slot",
    )
    rewrite(directory, configuration)
    directory.forget_end()
    if done or memory or layout.dagman_log.exists():
        _write_rescue(layout, done, memory)
    # DAGMan rewrites both, but not at once; until then they would describe the previous submission.
    for outdated in (layout.node_status, layout.node_log):
        outdated.unlink(missing_ok=True)
    cluster, found = submit(layout.dag, directory.facts.id, configuration.dagman, directory.facts.output_run)
    _verify(directory, layout, cluster)
    return Restarted(str(cluster), found, len(remainder.done), memory)


def _mine(run_id: str) -> str:
    return f"{RUN_ATTRIBUTE} == {attribute(run_id)}"


def _jobs(queue: Any, run_id: str) -> list[int]:
    with says_condor("the queue cannot be read"):
        ads = queue.query(constraint=_mine(run_id), projection=["ClusterId"])
    return sorted(int(ad["ClusterId"]) for ad in ads)


def _registers(queue: Any, run_id: str) -> bool:
    """Return whether the final job runs."""
    constraint = f"{_mine(run_id)} && DAGNodeName == {attribute(FINAL)} && JobStatus == {_RUNNING}"
    with says_condor("the queue cannot be read"):
        return bool(queue.query(constraint=constraint, projection=["ClusterId"]))


def _requests(
    configuration: CondorConfiguration, kinds: Iterable[tuple[str, ...]]
) -> Iterator[tuple[str, JobSettings]]:
    """Yield what jobs that run some tasks ask for at first."""
    for labels in sorted(kinds):
        yield named(labels), configuration.for_labels(labels)


def _memory(layout: Layout, configuration: CondorConfiguration, remainder: Remainder) -> dict[str, int]:
    """Return the memory of the nodes that need more than the present settings request."""
    # Of the last submission only, because DAGMan truncates its log at each.
    ran_out = DagEvents.read(layout).out_of_memory
    before = dict(layout.memory_before())
    memory = {}
    for node in remainder.left:
        settings = configuration.for_labels(node.labels)
        if node.name in ran_out or node.exit_code == ExitCode.OUT_OF_MEMORY:
            request = _risen(node, settings)
        else:
            request = before.get(node.name, 0)
        if request > settings.request_memory:
            memory[node.name] = request
    return memory


def _risen(node: UnfinishedNode, settings: JobSettings) -> int:
    """Return the memory to request for a node that ran out of it.

    That is what it requested last, or more if the last attempt ran out of memory or was killed.
    """
    request = node.memory or settings.request_memory
    return raised(settings, request) if node.exit_code in (None, ExitCode.OUT_OF_MEMORY) else request


def _write_rescue(layout: Layout, done: Iterable[str], memory: dict[str, int]) -> None:
    number = max((int(path.suffix[-3:]) for path in layout.rescues()), default=0) + 1
    lines = [OURS, *retried(done, memory)]
    layout.rescue(number).write_text("".join(f"{line}\n" for line in lines))
    # A lock that a killed DAGMan has left would make the next one trust its event log instead.
    layout.folder.joinpath(f"{layout.dag.name}.lock").unlink(missing_ok=True)


def _verify(directory: RunDirectory, layout: Layout, cluster: int) -> None:
    """Make sure that the queue has the job, or that it has ended already."""
    queue = schedd()
    if (
        find_dagman(queue, directory.facts.id) is None
        and f"({cluster:03}." not in layout.dagman_log.read_text()
    ):
        raise PipetaskError(
            f"HTCondor took {layout.dag} as {cluster}, and it is not in the queue: see {layout.dagman_out}."
        )
