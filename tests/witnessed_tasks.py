"""A task that leaves word of each time that it runs, and waits, kills or fills a disk where it is told to."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import psutil
from lsst.pex.config import Field
from lsst.pipe.base.tests.mocks import DataIdMatch, DynamicTestPipelineTask, DynamicTestPipelineTaskConfig


class WitnessedConfig(DynamicTestPipelineTaskConfig):
    """Where words go, and what some quanta do besides."""

    notes = Field[str](doc="Folder for notes.", dtype=str, default="")
    waits_where = Field[str](doc="Data IDs that wait for the file 'gate' there.", dtype=str, default="")
    kills_where = Field[str](doc="Data IDs that kill what drives their worker, once.", dtype=str, default="")
    kills_command_where = Field[str](doc="Data IDs that kill the command, once.", dtype=str, default="")
    fills = Field[str](
        doc="Engine folder on a disk to fill while there is a file 'fill'.", dtype=str, default=""
    )


class WitnessedTask(DynamicTestPipelineTask):
    """Does as its base class, and notes beginnings and ends."""

    ConfigClass = WitnessedConfig
    _DefaultName = "witnessed"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        data_id = butlerQC.quantum.dataId
        notes, name = Path(self.config.notes), "-".join(map(str, (self.getName(), *data_id.required_values)))
        _note(notes / f"{name}.begun")
        if self.config.fills and (notes / "fill").exists():
            fill(Path(self.config.fills))
        if _matches(self.config.kills_command_where, data_id) and not (notes / "killed").exists():
            (notes / "killed").touch()
            psutil.Process(int((notes / "command").read_text())).kill()
        if _matches(self.config.waits_where, data_id):
            while not (notes / "gate").exists():
                time.sleep(0.05)
        if _matches(self.config.kills_where, data_id) and not (notes / "killed").exists():
            (notes / "killed").touch()
            _kill_driver()
        super().runQuantum(butlerQC, inputRefs, outputRefs)
        _note(notes / f"{name}.ended")


def _matches(where: str, data_id: Any) -> bool:
    return bool(where) and DataIdMatch(where).match(data_id)


def _note(path: Path) -> None:
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")


def fill(folder: Path) -> None:
    """Leave no room on a disk, nor let any become free when files of an engine folder are removed."""
    kept = folder / "kept"
    kept.mkdir(exist_ok=True)
    for path in [*folder.glob("pipetask-*/bundle-*"), *folder.glob("pipetask-*/worker-*/worker.log")]:
        with contextlib.suppress(OSError):  # it is there already, or gone
            os.link(path, kept / str(path.stat().st_ino))
    with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while file.write(bytes(1024)):
            pass


def _kill_driver() -> None:
    """Kill what drives this worker for an engine; between them is the server that forks workers."""
    psutil.Process(psutil.Process(os.getppid()).ppid()).kill()
    time.sleep(3600)
