"""An execution model that notes what it is told to import, and when."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pipetask.executors.in_process import InProcessExecutor


class EarlyExecutor(InProcessExecutor):
    """Writes the names of tasks into a folder: in a file for before the graph is there, or in one for afterwards."""

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:
        folder = Path(os.environ["PIPETASK_NOTES"])
        when = "after" if (folder / "graph.qg").exists() else "before"
        (folder / f"{when}.json").write_text(json.dumps(sorted(task_names())))
