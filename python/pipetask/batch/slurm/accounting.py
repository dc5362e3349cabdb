"""How many jobs a user may have in the queue, by Slurm's accounting, where a site has that and it answers.

A limit that is not found here costs a refusal, which is reckoned with, and nothing else.  So accounting is asked once,
for a few seconds, and whatever goes wrong means that there is no limit.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ...errors import PipetaskError
from .client import CLIENT
from .queue import number_of_jobs

__all__ = ["Billing", "most_jobs", "room_for_user", "user_name"]

_PATIENCE = 5.0
"""Seconds that accounting may take."""

_OF_USER = ("Cluster", "DefaultAccount", "Account", "DefaultQOS", "QOS", "MaxSubmitJobs", "GrpSubmitJobs")
_OF_QOS = ("Name", "MaxSubmitJobsPerUser", "MaxSubmitJobsPerAccount", "GrpSubmitJobs")


@dataclass(frozen=True)
class Billing:
    """What jobs are submitted with; empty for what Slurm takes by itself."""

    account: str
    qos: str


def room_for_user(patience: float, billings: Collection[Billing]) -> int | None:
    """Return how many more jobs this user may have in the queue; `None` if no limit is known.

    Parameters
    ----------
    patience
        Seconds that Slurm may take.
    billings
        What jobs of the run are submitted with.

    Raises
    ------
    pipetask.errors.PipetaskError
        If Slurm does not answer.
    """
    text = CLIENT.call("scontrol", ["show", "config"], patience=patience)
    if not re.search(r"AccountingStorageType\s*=\s*\S*slurmdbd", text):
        return None
    user, cluster = user_name(), re.search(r"ClusterName\s*=\s*(\S+)", text)
    most = most_jobs(user, cluster[1] if cluster else "", billings)
    return None if most is None else most - number_of_jobs(patience, "-u", user)


def user_name() -> str:
    """Return the name of the user whose jobs this process submits; a number if there is no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def most_jobs(user: str, cluster: str, billings: Collection[Billing]) -> int | None:
    """Return the smallest of the limits on the jobs that a user has in the queue; `None` if none is known.

    Parameters
    ----------
    user, cluster
        Names of the user, and of the cluster that jobs are submitted to.
    billings
        What jobs of the run are submitted with.
    """
    try:
        shown = _rows(["user", user, "withassoc"], _OF_USER)
        associations = [each for each in shown if each["Cluster"] == cluster]
        used = [each for billing in billings for each in _used(associations, billing)]
        names = {billing.qos or each["DefaultQOS"] or _only(each["QOS"]) for billing, each in used}
        qualities = [row for row in _rows(["qos"], _OF_QOS) if row["Name"] in names]
    except PipetaskError:
        return None
    rows = [row for _, row in used] + qualities
    return min((limit for row in rows for limit in _limits(row)), default=None)


def _rows(words: Iterable[str], columns: Collection[str]) -> Iterator[dict[str, str]]:
    """Yield what accounting shows, by column."""
    shown = CLIENT.call(
        "sacctmgr", ["-nP", "show", *words, f"format={','.join(columns)}"], patience=_PATIENCE
    )
    for line in shown.splitlines():
        cells = line.split("|")
        if len(cells) == len(columns):
            yield dict(zip(columns, cells, strict=True))


def _used(
    associations: Iterable[dict[str, str]], billing: Billing
) -> Iterator[tuple[Billing, dict[str, str]]]:
    for each in associations:
        if each["Account"] == (billing.account or each["DefaultAccount"]):
            yield billing, each


def _only(names: str) -> str:
    """Return a name that stands alone."""
    return "" if "," in names else names


def _limits(row: dict[str, str]) -> Iterator[int]:
    for column, text in row.items():
        if "SubmitJobs" in column and text.isdecimal():
            yield int(text)
