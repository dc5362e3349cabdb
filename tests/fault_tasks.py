"""Real pipeline tasks that misbehave on demand; worker processes import them from here."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from lsst.pex.config import Field
from lsst.pipe.base import InvalidQuantumError, RepeatableQuantumError
from lsst.pipe.base.tests.mocks import DataIdMatch, DynamicTestPipelineTask, DynamicTestPipelineTaskConfig

import toy_work


class BombConfig(DynamicTestPipelineTaskConfig):
    """What to do where."""

    bomb = Field[str](doc="Name of a function of toy_work, or of this module.", dtype=str, default="")
    bomb_where = Field[str](doc="Data IDs that get it.", dtype=str, default="")
    bomb_folder = Field[str](doc="Folder given to it.", dtype=str, default="")
    bomb_once = Field[bool](
        doc="Do it only while the folder has no file named 'defused'.", dtype=bool, default=False
    )


class BombTask(DynamicTestPipelineTask):
    """Does as its base class, except where a bomb lies."""

    ConfigClass = BombConfig
    _DefaultName = "bomb"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        folder = Path(self.config.bomb_folder)
        if self._is_armed(folder) and DataIdMatch(self.config.bomb_where).match(butlerQC.quantum.dataId):
            self.log.warning("the bomb goes off")
            (folder / "armed").write_text("yes")
            (globals().get(self.config.bomb) or getattr(toy_work, self.config.bomb))(folder)
        super().runQuantum(butlerQC, inputRefs, outputRefs)

    def _is_armed(self, folder: Path) -> bool:
        return bool(self.config.bomb) and not (self.config.bomb_once and (folder / "defused").exists())


class UnsociableTask(BombTask):
    """Refuses to run in another process."""

    canMultiprocess = False


def talk(folder: Path) -> None:
    """Say something of no importance, as tasks do."""
    logging.getLogger("fault_tasks.talk").info("information of a task")


def invalid(folder: Path) -> None:
    raise InvalidQuantumError("this pipeline is wrong")


def repeatable(folder: Path) -> None:
    raise RepeatableQuantumError("this data is bad")


def lose_graph_and_die(folder: Path) -> None:
    """Remove the graph that the folder names, then die."""
    Path((folder / "graph").read_text()).unlink(missing_ok=True)
    toy_work.kill_self(folder)


def note_cache(folder: Path) -> None:
    """Use the folder for copies of remote files as the datastore would."""
    cache = Path(os.environ["DAF_BUTLER_CACHE_DIRECTORY_IF_UNSET"])
    cache.mkdir(exist_ok=True)
    (cache / "copy").touch()
    (folder / f"{os.getpid()}.cache").write_text(str(cache))
