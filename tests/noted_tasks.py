"""A task whose module leaves a note when it is imported."""

from __future__ import annotations

import os
from pathlib import Path

from lsst.pipe.base.tests.mocks import DynamicTestPipelineTask

if folder := os.environ.get("PIPETASK_NOTES"):
    Path(folder, str(os.getpid())).write_text("imported")


class NotedTask(DynamicTestPipelineTask):
    """Does as its base class."""

    _DefaultName = "noted"
