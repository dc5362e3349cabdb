"""Tasks with every kind of configuration field, and an instrument, for pipelines that are only looked at.

LSST's own command imports them from here as well.
"""

from __future__ import annotations

from typing import Any

from lsst.pex.config import (
    ChoiceField,
    Config,
    ConfigDictField,
    ConfigField,
    ConfigurableField,
    DictField,
    Field,
    ListField,
    RangeField,
    makeRegistry,
)
from lsst.pipe.base import Instrument, PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Task
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

DETECTOR = ("instrument", "visit", "detector")


class Camera(Instrument):
    """An instrument that has something to say about one task."""

    @classmethod
    def getName(cls) -> str:
        return "Camera"

    def applyConfigOverrides(self, name: str, config: Any) -> None:
        if name == "flatten":
            config.scale = 3.5

    def getCamera(self) -> None:
        raise NotImplementedError

    def register(self, registry: Any, update: bool = False) -> None:
        raise NotImplementedError

    def getRawFormatter(self, dataId: Any) -> None:
        raise NotImplementedError


class FitConfig(Config):
    order = RangeField[int](doc="Order of the polynomial.", dtype=int, default=2, min=0, max=9)
    method = ChoiceField[str](
        doc="How to fit.", dtype=str, default="robust", allowed={"robust": "Slow.", "plain": "Fast."}
    )


class FitTask(Task):
    ConfigClass = FitConfig
    _DefaultName = "fit"


class OtherFitConfig(FitConfig):
    kernel = Field[str](doc="Name of a kernel = shape.", default="round=yes")


class OtherFitTask(FitTask):
    ConfigClass = OtherFitConfig


class MatchConfig(Config):
    fit = ConfigurableField(doc="Fits the matches.", target=FitTask)
    Radius = Field[float](doc="Radius, in\narc seconds.", default=1.5)


class MatchTask(Task):
    ConfigClass = MatchConfig
    _DefaultName = "match"


algorithms = makeRegistry(doc="Ways to measure.", configBaseType=Config)


class CircleConfig(Config):
    radius = Field[float](doc="Radius in pixels.", default=4.0)


class Circle:
    ConfigClass = CircleConfig


class EllipseConfig(Config):
    axes = ListField[float](doc="Axes in pixels.", default=[4.0, 3.0])


class Ellipse:
    ConfigClass = EllipseConfig


algorithms.register("circle", Circle)
algorithms.register("el.lipse", Ellipse)


class FlattenConnections(PipelineTaskConnections, dimensions=DETECTOR):
    raw = Input(doc="Raw image.", name="raw", storageClass="StructuredDataDict", dimensions=DETECTOR)
    flat = PrerequisiteInput(
        doc="Flat field.",
        name="flat",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "detector"),
        isCalibration=True,
    )
    image = Output(doc="Flat image.", name="image", storageClass="StructuredDataDict", dimensions=DETECTOR)


class FlattenConfig(PipelineTaskConfig, pipelineConnections=FlattenConnections):
    doFlat = Field[bool](doc="Whether to divide by the flat.", default=True)
    scale = Field[float](doc="Factor.", default=1.0)
    name = Field[str](doc="Any text.", default="a = b", optional=True)


class FlattenTask(PipelineTask):
    ConfigClass = FlattenConfig
    _DefaultName = "flatten"


class MeasureConnections(PipelineTaskConnections, dimensions=DETECTOR, defaultTemplates={"prefix": ""}):
    image = Input(
        doc="Flat image.", name="{prefix}image", storageClass="StructuredDataDict", dimensions=DETECTOR
    )
    sources = Output(doc="Sources.", name="sources", storageClass="StructuredDataDict", dimensions=DETECTOR)


class MeasureConfig(PipelineTaskConfig, pipelineConnections=MeasureConnections):
    algorithm = algorithms.makeField("Ways to measure.", default="circle")
    more = algorithms.makeField("More ways to measure.", default=["circle"], multi=True)
    match = ConfigurableField(doc="Matches to a catalog.", target=MatchTask)
    background = ConfigField[FitConfig](doc="Fits the background.")
    stages = ConfigDictField(doc="Stages, by name.", keytype=str, itemtype=FitConfig, default={})
    flags = DictField[str, int](doc="Flags and their bits.", keytype=str, itemtype=int, default={"a=b": 1})

    def setDefaults(self) -> None:
        self.stages["first"] = FitConfig()
        self.stages["2.nd"] = FitConfig()

    def validate(self) -> None:
        super().validate()
        if self.background.order > self.match.fit.order + 5:
            raise ValueError("the background's order is too high")


class MeasureTask(PipelineTask):
    ConfigClass = MeasureConfig
    _DefaultName = "measure"


class SummarizeConnections(PipelineTaskConnections, dimensions=("instrument", "visit")):
    sources = Input(
        doc="Sources.",
        name="sources",
        storageClass="StructuredDataDict",
        dimensions=DETECTOR,
        multiple=True,
        deferLoad=True,
    )
    summary = Output(
        doc="Summary.", name="summary", storageClass="StructuredDataDict", dimensions=("instrument", "visit")
    )


class SummarizeConfig(PipelineTaskConfig, pipelineConnections=SummarizeConnections):
    quantiles = ListField[float](doc="Quantiles.", default=[0.5])


class SummarizeTask(PipelineTask):
    ConfigClass = SummarizeConfig
    _DefaultName = "summarize"
