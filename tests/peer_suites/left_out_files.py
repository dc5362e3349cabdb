"""Files that the tests read and that the source distributions lack."""

from __future__ import annotations

from pathlib import Path

PAIR = """\
description: Two tasks in a row; the first writes what the second reads.
tasks:
  a: {class: TASK, config: [{FIRST}]}
  b: {class: TASK, config: [{SECOND}]}
"""
SEPARABLE = (
    PAIR.replace("TASK", "lsst.pipe.base.tests.no_dimensions.NoDimensionsTestTask")
    .replace("FIRST", "connections.output: intermediate")
    .replace("SECOND", "connections.input: intermediate, key: two, value: 2")
)
SIMPLE = """\
description: Two mock tasks in a row; the first writes what the second reads.
tasks:
  a:
    class: lsst.pipe.base.tests.mocks.DynamicTestPipelineTask
    config:
      - python: |
          from lsst.pipe.base.tests.mocks import DynamicConnectionConfig
          config.inputs["i"] = DynamicConnectionConfig(
              dataset_type_name="input", storage_class="StructuredDataDict", mock_storage_class=False
          )
          config.outputs["o"] = DynamicConnectionConfig(
              dataset_type_name="intermediate", storage_class="StructuredDataDict"
          )
  b:
    class: lsst.pipe.base.tests.mocks.DynamicTestPipelineTask
    config:
      - python: |
          from lsst.pipe.base.tests.mocks import DynamicConnectionConfig
          config.inputs["i"] = DynamicConnectionConfig(
              dataset_type_name="intermediate", storage_class="StructuredDataDict"
          )
          config.outputs["o"] = DynamicConnectionConfig(
              dataset_type_name="output", storage_class="StructuredDataDict"
          )
"""
METRICS = """\
datastore:
  cls: lsst.daf.butler.datastores.fileDatastore.FileDatastore
  formatters:
    StructuredCompositeReadComp: lsst.daf.butler.tests.testFormatters.MetricsExampleFormatter
storageClasses:
  StructuredCompositeReadComp:
    pytype: lsst.daf.butler.tests.MetricsExample
    delegate: lsst.daf.butler.tests.MetricsDelegate
    components: {summary: StructuredDataDict, output: StructuredDataDict, data: StructuredDataList}
"""
STORAGE_CLASSES = """\
storageClasses:
  TaskMetadataLike:
    pytype: lsst.pipe.base.TaskMetadata
"""
FILES = {
    "config/storageClasses.yaml": STORAGE_CLASSES,
    "pipelines/pipeline_separable.yaml": SEPARABLE,
    "pipelines/pipeline_simple.yaml": SIMPLE,
    "config/metricTestRepoButler.yaml": METRICS,
}


def complete(tests: Path) -> None:
    """Add the files to a folder of tests."""
    for name, text in FILES.items():
        file = tests / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
