"""A task that says when the first quantum starts, and ends the run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from lsst.pipe.base.tests.mocks import DynamicTestPipelineTask


class StampTask(DynamicTestPipelineTask):
    """Writes the time to a file named by the environment, and fails."""

    _DefaultName = "stamp"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        path = Path(os.environ["PIPETASK_STAMP"])
        if not path.exists():
            path.write_text(f"{time.time()}")
        raise RuntimeError("that was all")
