"""Pipeline tasks that LSST's command and ours both run; it finds this module on PYTHONPATH."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsst.pex.config import Field
from lsst.pipe.base.tests.mocks import DataIdMatch, DynamicTestPipelineTask, DynamicTestPipelineTaskConfig


class BrokenConfig(DynamicTestPipelineTaskConfig):
    """Where it fails, and until when."""

    broken_where = Field[str](doc="Data IDs that fail.", dtype=str, default="")
    repair = Field[str](doc="File whose being there ends that.", dtype=str, default="")


class BrokenTask(DynamicTestPipelineTask):
    """Fails when it has written its outputs."""

    ConfigClass = BrokenConfig
    _DefaultName = "broken"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        super().runQuantum(butlerQC, inputRefs, outputRefs)
        where, repair = self.config.broken_where, self.config.repair
        repaired = repair and Path(repair).exists()
        if where and DataIdMatch(where).match(butlerQC.quantum.dataId) and not repaired:
            self.log.warning("what was written is wrong")
            raise ValueError("it is broken")


class UnbuildableTask(DynamicTestPipelineTask):
    """Cannot be constructed."""

    _DefaultName = "unbuildable"

    def __init__(self, **kwargs: Any):
        raise ValueError("no such calibration")
