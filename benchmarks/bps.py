"""LSST's own way to HTCondor and Parsl: ``bps``, one quantum a job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import yaml

from pipetask.testing import MockPipeline

from .harness import (
    OURS,
    Figure,
    checked,
    fresh_copy,
    median,
    peer_command,
    run_words,
    scratch,
    timed_command,
)

__all__ = ["Bps", "bps_parsl"]


EXPOSURES = 5
"""Of the graph that Parsl runs; with four detectors, that makes 45 quanta."""

NOTHING_MORE: Mapping[str, Any] = MappingProxyType({})


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

    @property
    def has_parsl(self) -> bool:
        """Whether its plug-in for Parsl is installed, too."""
        return any(self.environment.glob("lib/python*/site-packages/lsst/ctrl/bps/parsl"))

    def configure(self, root: Path, submit_dir: Path, more: Mapping[str, Any] = NOTHING_MORE) -> Path:
        """Write the configuration that has the graph of a mock repository submitted.

        It has bps's own defaults, but for the last job: the datasets that this registers have mock storage classes, and
        it would wait forever for a machine with 16 CPUs and 32 GB.

        Parameters
        ----------
        root
            The repository.
        submit_dir
            Folder that bps makes.
        more
            Other settings.

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
            **more,
        }
        path = submit_dir.with_suffix(".yaml")
        path.write_text(yaml.safe_dump(settings))
        return path


def bps_parsl(repeat: int) -> Iterator[Figure]:
    """45 small quanta on Parsl on this machine, whole commands: through us, and through bps (once)."""
    bps = Bps.find()
    if bps is None or not bps.has_parsl:
        print("NOT MEASURED: ctrl_bps_parsl is not installed beside bps; use `make bench`.", file=sys.stderr)
        return
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=EXPOSURES, detectors=4).make(template)
        options = ("-j", "2", "--mode", "futures", "--engine", "parsl")
        ours = median(
            checked(timed_command(run_words(OURS, fresh_copy(template), *options))).seconds
            for _ in range(repeat)
        )
        peer = _by_parsl(bps, fresh_copy(template), folder / "submit")
        name = "45 small quanta on parsl, 2 workers, whole command"
        yield Figure(name, ours, peer, "bps submit with ctrl_bps_parsl, local", "s", peer / ours, 5)


def _by_parsl(bps: Bps, root: Path, submit_dir: Path) -> float:
    """Have bps run the graph in threads of Parsl, each of which waits for a process; it waits for the end."""
    site = {
        "class": "lsst.ctrl.bps.parsl.sites.Local",
        "cores": 2,
        "run_dir": str(submit_dir.with_name("parsl")),
    }
    service = {"wmsServiceClass": "lsst.ctrl.bps.parsl.ParslService", "computeSite": "local"}
    configuration = bps.configure(root, submit_dir, {**service, "site": {"local": site}})
    timed = checked(timed_command(bps.words("submit", configuration), **bps.variables))
    stored = sum(1 for path in root.rglob("exposure_summary*") if path.is_file())
    if stored != EXPOSURES:  # bps succeeds whatever becomes of its jobs
        raise RuntimeError(
            f"bps with ctrl_bps_parsl has stored {stored} of {EXPOSURES} summaries; see {submit_dir}"
        )
    return timed.seconds
