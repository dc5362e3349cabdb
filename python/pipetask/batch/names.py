"""Names of the nodes of a batch run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundling import Node

__all__ = ["FINAL", "FIRST", "is_pilot", "node_name", "pilot_name", "plain_name"]

FIRST, FINAL = "first", "final"
"""Names of the nodes that begin and end a run."""


def plain_name(text: str) -> str:
    """Return what is left of a text that any batch system takes as a name: ASCII letters, digits, underscores."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", text)[:60] or "_"


def pilot_name(number: int) -> str:
    """Return what the job of a pilot is called; no node has such a name."""
    return f"pilot.{number}"


def is_pilot(name: str) -> bool:
    """Return whether a name is that of a pilot's job."""
    return name.startswith("pilot.")


def node_name(node: Node) -> str:
    """Return the name of a node: its labels, as far as they are plain, and its number."""
    return f"{plain_name('+'.join(node.labels))}-{node.number}"
