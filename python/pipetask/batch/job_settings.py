"""What jobs get from the run: environment variables, what quanta need, and which failures they try again themselves."""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..executors.resources import Resources
from ..executors.retries import RetryPolicy

__all__ = ["passed_on", "requests", "retried_in_jobs"]


def passed_on(patterns: Sequence[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables of this process that jobs get.

    Parameters
    ----------
    patterns
        Names, and patterns of names.
    environ
        Variables to use instead of those of this process.
    """
    environ = os.environ if environ is None else environ
    return {
        name: text
        for name, text in sorted(environ.items())
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


def requests(resources: Resources, memory: str, gpus: str) -> dict[str, dict[str, int]]:
    """Return the settings by label that ask for the memory and the GPUs that quanta need.

    Parameters
    ----------
    resources
        What quanta need.
    memory, gpus
        Names of the settings; memory is in megabytes.
    """
    more: dict[str, dict[str, int]] = {}
    for label, needs in resources.needs.items():
        if wanted := needs.get("memory"):
            more.setdefault(label, {})[memory] = math.ceil(wanted / 1024**2)
        if number := needs.get("gpus"):
            more.setdefault(label, {})[gpus] = number
    return more


def retried_in_jobs(
    policy: RetryPolicy, allowed: Mapping[str, tuple[int, int]], labels: Collection[str]
) -> RetryPolicy:
    """Return what jobs try again themselves: what has raised, and, where asked for, what took too long.

    A job whose quantum was killed ends, and the batch system counts how often it is started again.

    Parameters
    ----------
    policy
        What the run asks for.
    allowed
        By label, the numbers of other attempts after system failures and after exceptions.
    labels
        The labels of the graph.
    """
    rules = {}
    for label in labels:
        rule, (retries, error_retries) = policy.rule(label), allowed[label]
        rules[label] = replace(rule, retries=retries if rule.timeouts else 0, error_retries=error_retries)
    return RetryPolicy(labels=rules)
