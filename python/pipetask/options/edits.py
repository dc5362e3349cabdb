"""Edits of a pipeline, which are applied in the order in which they are given.

As text, each is the option that asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["AddInstrument", "AddTask", "DeleteTask", "LoadConfigFile", "PipelineEdit", "SetConfig"]


@dataclass(frozen=True)
class AddTask:
    """Add a task: ``package.module.Task`` or ``package.module.Task:label``."""

    task: str
    """Fully qualified name of the class."""

    label: str | None = None
    """`None`: the default name of the task's class."""

    def __str__(self) -> str:
        return f"-t {self.task}:{self.label}" if self.label else f"-t {self.task}"

    @classmethod
    def parse(cls, text: str) -> AddTask:
        """Read the value of ``-t``."""
        task, colon, label = text.partition(":")
        if not task or (colon and not label):
            raise ValueError(f"{text!r} is not of the form TASK or TASK:LABEL")
        return cls(task, label or None)


@dataclass(frozen=True)
class DeleteTask:
    """Remove the task with a label."""

    label: str

    def __str__(self) -> str:
        return f"--delete {self.label}"

    @classmethod
    def parse(cls, text: str) -> DeleteTask:
        """Read the value of ``--delete``."""
        return cls(text)


@dataclass(frozen=True)
class SetConfig:
    """Set one configuration field of a task."""

    label: str
    name: str
    """The field, with dots for nested ones."""

    value: str
    """A Python literal, or a text."""

    def __str__(self) -> str:
        return f"-c {self.label}:{self.name}={self.value}"

    @classmethod
    def parse(cls, text: str) -> SetConfig:
        """Read the value of ``-c``."""
        label, colon, rest = text.partition(":")
        name, sign, value = rest.partition("=")
        if not (label and colon and name and sign and value):
            raise ValueError(f"{text!r} is not of the form LABEL:NAME=VALUE")
        return cls(label, name, value)


@dataclass(frozen=True)
class LoadConfigFile:
    """Load a file of configuration overrides for a task."""

    label: str
    path: str

    def __str__(self) -> str:
        return f"-C {self.label}:{self.path}"

    @classmethod
    def parse(cls, text: str) -> LoadConfigFile:
        """Read the value of ``-C``."""
        label, _, path = text.partition(":")
        if not (label and path):
            raise ValueError(f"{text!r} is not of the form LABEL:FILE")
        return cls(label, path)


@dataclass(frozen=True)
class AddInstrument:
    """Load an instrument's configuration overrides."""

    instrument: str
    """Fully qualified name of the class."""

    def __str__(self) -> str:
        return f"--instrument {self.instrument}"

    @classmethod
    def parse(cls, text: str) -> AddInstrument:
        """Read the value of ``--instrument``."""
        if not text or ":" in text:
            raise ValueError(f"{text!r} is not the fully qualified name of a class")
        return cls(text)


PipelineEdit: TypeAlias = AddTask | DeleteTask | SetConfig | LoadConfigFile | AddInstrument
