"""Where a run comes from: its command, collections, versions and hosts."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from ...text import shell_command
from .markup import Markup, tag
from .parts import copyable, section, table
from .subject import Subject
from .units import moment, number

__all__ = ["origin_section"]

PACKAGES = ("pipetask", "lsst-pipe-base", "lsst-daf-butler", "numpy")

MOST_HOSTS = 200


def origin_section(subject: Subject) -> Markup:
    """Return the section."""
    command = [copyable(shell_command(subject.command))] if subject.command else []
    hosts = list(_hosts(subject))
    return section(
        "run",
        "Command, versions and hosts",
        command,
        table(["", ""], _facts(subject), words=2, kind="facts"),
        table(["option", "value"], subject.options.items(), words=2, kind="facts") if subject.options else [],
        table(["host", "slots", "quanta"], hosts[:MOST_HOSTS]) if hosts else [],
        tag("p", f"and {number(len(hosts) - MOST_HOSTS)} more hosts") if len(hosts) > MOST_HOSTS else [],
    )


def _facts(subject: Subject) -> Iterator[tuple[str, str]]:
    header = subject.summary.header
    for name, attribute in (
        ("output run", "output_run"),
        ("output collection", "output"),
        ("inputs", "inputs"),
        ("graph made by", "command"),
    ):
        value = getattr(header, attribute, None)
        if value:
            yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    yield "began", moment(subject.summary.start)
    yield "ended", moment(subject.summary.end)
    yield "Python", platform.python_version()
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"


def _hosts(subject: Subject) -> Iterator[tuple[str, str, str]]:
    attempts = subject.facts.attempts
    quanta = Counter(attempts.host.tolist())
    slots = Counter(lane.host for lane in attempts.lanes)
    for index, count in quanta.most_common():
        name = attempts.hosts[index]
        yield name or "unknown", number(slots[name]), number(count)
