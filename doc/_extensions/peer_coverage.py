"""What of the options of LSST's command there is here, and where the two differ.

``peer_options.json`` says which options LSST's command has (see `peer_options`), and ``peer_differences.yaml`` gives
the reason for each difference that is meant.  `peer_tables` shows both; a test fails on differences without a
reason, and on reasons without a difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from peer_options import Description, describe
from pipetask.cli import cli

OPTIONS = Path(__file__).parent.parent / "peer_options.json"
REASONS = Path(__file__).parent.parent / "peer_differences.yaml"

MISSING = "missing"
MEANING = "meaning"
"""Both say the same of the option, and yet it does not do quite the same."""


@dataclass(frozen=True)
class Pair:
    """An option, or an argument, of a command there and here."""

    command: str
    """Empty for what comes before the command."""

    name: str
    """The long flag, or the argument's name in capitals."""

    theirs: Description | None
    ours: Description | None

    def differences(self) -> list[str]:
        """Name what of LSST's option is not so here: fields of the description, or that it is ``missing``."""
        if self.theirs is None:
            return []
        if self.ours is None:
            return [MISSING]
        return [
            field for field in sorted({*self.theirs, *self.ours}) if _differ(field, self.theirs, self.ours)
        ]


def _differ(field: str, theirs: Description, ours: Description) -> bool:
    if field in ("flags", "off"):  # more names for the same do no harm
        return not set(theirs.get(field, ())) <= set(ours.get(field, ()))
    return bool(theirs.get(field) != ours.get(field))


@dataclass(frozen=True)
class Reason:
    """Why something differs."""

    commands: tuple[str, ...]
    option: str
    field: str
    """One of those that `Pair.differences` names, or ``meaning``."""

    reason: str

    def explained(self) -> Iterator[tuple[str, str, str]]:
        """Iterate over the differences that this explains: command, option and field."""
        return ((command, self.option, self.field) for command in self.commands)


def read_peer_options() -> dict[str, Any]:
    """Return what `peer_options` has printed: ``made_with`` and ``commands``."""
    content: dict[str, Any] = json.loads(OPTIONS.read_text())
    return content


def read_reasons() -> list[Reason]:
    """Return the reasons that were given."""
    return [Reason(tuple(each.pop("commands")), **each) for each in yaml.safe_load(REASONS.read_text())]


def compare() -> list[Pair]:
    """Compare LSST's command, as it is on file, with ours."""
    return list(pairs(read_peer_options()["commands"], describe(cli)))


def pairs(theirs: Mapping[str, Description], ours: Mapping[str, Description]) -> Iterator[Pair]:
    """Compare command by command; commands that are only here are left out."""
    for command, description in theirs.items():
        left, right = _named(description), _named(ours.get(command, {}))
        for name in {**left, **right}:
            yield Pair(command, name, left.get(name), right.get(name))


def _named(command: Description) -> dict[str, Description]:
    arguments = {each["name"].upper(): each for each in command.get("arguments", ())}
    return {**arguments, **command.get("options", {})}
