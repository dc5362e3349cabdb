"""Why jobs of a DAG never got into the queue; only DAGMan's log file says so."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

__all__ = ["submit_errors"]

_SUBMITS = re.compile(rb"Submitting HTCondor Node (\S+) job")
_SAYS = re.compile(rb"(submit error|ERROR): (?:Submit:-?\d+:|on Line \d+ of submit file: )?(.*)")
_REFUSED = re.compile(r"expected next ProcId to be \d+, but Schedd says (-\d)")

_LIMITS = {
    "-2": "the schedd has as many jobs as it may have (MAX_JOBS_SUBMITTED)",
    "-3": "the schedd has as many jobs of this owner as it may have (MAX_JOBS_PER_OWNER)",
    "-4": "it has more jobs than one submission may have (MAX_JOBS_PER_SUBMISSION)",
}
"""By what the schedd answers instead of a job's number."""

_VAGUE = "failed to create job classad"
"""Said where the reason was said before, of another job of the same kind."""


def submit_errors(path: Path, nodes: Collection[str]) -> dict[str, str]:
    """Return why the jobs of some nodes were not taken.

    Parameters
    ----------
    path
        DAGMan's messages.
    nodes
        The nodes.

    Returns
    -------
    reasons
        Of those nodes about which something is said.
    """
    if not nodes or not path.exists():
        return {}
    reasons: dict[str, str] = {}
    node, last = "", ""
    with path.open("rb") as lines:
        for line in lines:
            if found := _SUBMITS.search(line):
                node = found[1].decode()
            elif node and (said := _SAYS.search(line)):
                text = said[2].decode(errors="replace").strip()
                if said[1] == b"submit error":
                    last = text
                if node in nodes:
                    reasons[node] = _plain(last if last and text == _VAGUE else text)
            elif b"assigned HTCondor ID" in line:
                reasons.pop(node, None)
                node = ""
            elif b"Job submit failed after" in line:
                node = ""
    return reasons


def _plain(text: str) -> str:
    limit = _REFUSED.search(text)
    return _LIMITS.get(limit[1], text) if limit else text
