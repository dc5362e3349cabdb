"""The environment of jobs, and which failures they try again themselves."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..executors.retries import RetryPolicy

__all__ = ["passed_on", "retried_in_jobs"]


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
