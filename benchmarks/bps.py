"""LSST's own way to HTCondor: ``bps``, one quantum a job."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from .harness import peer_command

__all__ = ["Bps"]


@dataclass(frozen=True)
class Bps:
    """``bps`` as it comes from the package index, with bindings of HTCondor's that it can use.

    Parameters
    ----------
    environment
        Python environment that it is installed in.
    """

    environment: Path

    @classmethod
    def find(cls) -> Self | None:
        """Return what is installed beside LSST's pipetask; without it, say so and return nothing."""
        bps = cls(Path(peer_command()).absolute().parents[1])
        if bps._program("bps").exists():
            return bps
        print(
            f"NOT MEASURED: there is no bps in {bps.environment}, so figures recorded elsewhere stand for it; "
            "use `make bench`, which installs it.",
            file=sys.stderr,
        )
        return None

    def _program(self, name: str) -> Path:
        return self.environment / "bin" / name

    def words(self, verb: str, configuration: Path) -> list[str]:
        """Return the command line of one of its commands."""
        return [str(self._program("bps")), verb, str(configuration)]

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that it needs."""
        return {
            # Newer versions find their commands by the first, older ones by the next two, which a source install sets.
            "PATH": os.pathsep.join([str(self.environment / "bin"), os.defpath]),
            "CTRL_MPEXEC_DIR": str(self.environment),
            "DAF_BUTLER_DIR": str(self.environment),
            # Its defaults ask for this, so that jobs see the above, but it ignores settings that are not configured.
            "_CONDOR_DAGMAN_MANAGER_JOB_APPEND_GETENV": "TRUE",
        }

    @property
    def folders(self) -> tuple[Path, ...]:
        """The environment, and the installation of Python that it was made from."""
        return self.environment, self._program("python").resolve().parents[1]

    def configure(self, root: Path, submit_dir: Path) -> Path:
        """Write the configuration that has the graph of a mock repository submitted.

        It has bps's own defaults, but for the last job: the datasets that this registers have mock storage classes, and
        it would wait forever for a machine with 16 CPUs and 32 GB.

        Parameters
        ----------
        root
            The repository.
        submit_dir
            Folder that bps makes.

        Returns
        -------
        configuration : `~pathlib.Path`
            The file, beside that folder.
        """
        settings = {
            "qgraphFile": str(root / "graph.qg"),
            "submitPath": str(submit_dir),
            "payload": {"payloadName": "bps", "butlerConfig": str(root), "inCollection": "input_chain"},
            "extraAggregateOptions": "--mock-storage-classes",
            "finalJob": {"requestCpus": 1, "requestMemory": 2048},
        }
        path = submit_dir.with_suffix(".yaml")
        path.write_text(yaml.safe_dump(settings))
        return path
