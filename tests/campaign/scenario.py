"""What follows from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from campaign.fault import Fault
from campaign.faults import FAULTS
from campaign.models import MODELS, Model
from campaign.shapes import SHAPES, Shape

__all__ = ["Scenario"]


@dataclass(frozen=True)
class Scenario:
    """A fault, a graph and an execution model."""

    seed: int
    kind: str
    shape_name: str
    model_name: str

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """Return the scenario of a seed; so many seeds in a row as there are faults have each of them once."""
        choose = random.Random(seed)
        kind = list(FAULTS)[seed % len(FAULTS)]
        models = [name for name, model in MODELS.items() if FAULTS[kind].suits(model)]
        (model,) = choose.choices(models, [MODELS[name].weight for name in models])
        return cls(seed, kind, choose.choice(list(SHAPES)), model)

    @property
    def fault(self) -> Fault:
        """The fault."""
        return FAULTS[self.kind]

    @property
    def shape(self) -> Shape:
        """The graph."""
        return SHAPES[self.shape_name]

    @property
    def model(self) -> Model:
        """The execution model."""
        return MODELS[self.model_name]

    @property
    def random(self) -> random.Random:
        """What decides everything else."""
        return random.Random(f"{self.seed} {self.kind}")
