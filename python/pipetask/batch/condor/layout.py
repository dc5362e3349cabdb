"""Where the files of HTCondor are in a run directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CONFIG", "DAG", "FOLDER", "NODE_STATUS", "Layout", "submit_file"]

FOLDER = "dagman"
DAG = "run.dag"
CONFIG = "dagman.config"
NODE_STATUS = f"{DAG}.node_status"


def submit_file(kind: str) -> str:
    """Return the name of the submit description of a kind of jobs."""
    return f"{kind}.sub"


@dataclass(frozen=True)
class Layout:
    """Names of the files in a run directory that HTCondor reads and writes; DAGMan names its own after the DAG."""

    run_directory: Path

    @property
    def folder(self) -> Path:
        """The folder for all of this."""
        return self.run_directory / FOLDER

    @property
    def dag(self) -> Path:
        """The DAG."""
        return self.folder / DAG

    @property
    def dagman_config(self) -> Path:
        """Settings of DAGMan."""
        return self.folder / CONFIG

    def description(self, kind: str) -> Path:
        """The submit description of a kind of jobs; a restart writes it again."""
        return self.folder / submit_file(kind)

    @property
    def kinds(self) -> Path:
        """The kinds of jobs, and the environment variables that are passed on to them."""
        return self.folder / "kinds.json"

    @property
    def configuration(self) -> Path:
        """The settings that hold for this run."""
        return self.folder / "condor.yaml"

    @property
    def node_log(self) -> Path:
        """Events of the nodes' jobs."""
        return self.folder / f"{DAG}.nodes.log"

    @property
    def node_status(self) -> Path:
        """DAGMan's node status file, which lags behind the events."""
        return self.folder / NODE_STATUS

    @property
    def dagman_log(self) -> Path:
        """Events of DAGMan's own job."""
        return self.folder / f"{DAG}.dagman.log"

    @property
    def dagman_out(self) -> Path:
        """DAGMan's messages."""
        return self.folder / f"{DAG}.dagman.out"

    def rescue(self, number: int) -> Path:
        """The file that says what of the DAG is done already."""
        return self.folder / f"{DAG}.rescue{number:03}"

    def rescues(self) -> list[Path]:
        """All such files, oldest first."""
        return sorted(self.folder.glob(f"{DAG}.rescue[0-9][0-9][0-9]"))

    def done_before(self) -> Iterator[str]:
        """Yield the names of nodes that were done when the DAG was last submitted."""
        for line in self._last_restart():
            if line.startswith("DONE "):
                yield line.removeprefix("DONE ")

    def memory_before(self) -> Iterator[tuple[str, int]]:
        """Yield the nodes that asked for more memory than at first in the last submission, and how many megabytes."""
        for line in self._last_restart():
            if found := re.fullmatch(r'VARS (\S+) memory="(\d+)"', line):
                yield found[1], int(found[2])

    def _last_restart(self) -> list[str]:
        restarted = [path for path in self.rescues() if path.read_text().startswith(OURS)]
        return restarted[-1].read_text().splitlines() if restarted else []


OURS = "# Written by pipetask restart"
"""First line of rescue files that are ours, and not DAGMan's."""
