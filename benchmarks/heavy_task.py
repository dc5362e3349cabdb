"""A task whose import takes 5 seconds and 300 MB; its quanta note when they begin and what memory is theirs alone."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from lsst.pipe.base.tests.mocks import DynamicTestPipelineTask

_begun = time.process_time()
_OBJECTS = [[number] for number in range(1_600_000)]
_ARRAY = b"x" * 150_000_000
while time.process_time() < _begun + 5:
    pass


class HeavyTask(DynamicTestPipelineTask):
    """Does as its base class, after a second."""

    _DefaultName = "heavy"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        if folder := os.environ.get("PIPETASK_NOTES"):
            now = time.time()
            private = re.findall(r"Private_\w+: +(\d+) kB", Path("/proc/self/smaps_rollup").read_text())
            Path(folder, str(os.getpid())).write_text(f"{now} {1024 * sum(map(int, private))}")
            time.sleep(1)
        super().runQuantum(butlerQC, inputRefs, outputRefs)
