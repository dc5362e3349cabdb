"""What quanta need, by label, and how much of it there is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .declaration import option

__all__ = ["MEASURED", "ResourceOptions", "amounts_of", "limit_of"]

MEASURED = ("cpus", "memory", "gpus")
"""Resources that a machine has.  All other names are limits that the user has declared."""

_UNITS = {"": 10**6, "B": 1, **{f"{p}B": 1000**n for n, p in enumerate("KMGT", 1)}}
_UNITS |= {f"{p}IB": 1024**n for n, p in enumerate("KMGT", 1)}

_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)")
_NAME = re.compile(r"[A-Za-z][\w.-]*")


def amounts_of(text: str) -> tuple[str, Mapping[str, int]]:
    """Read a value of ``--resources``.

    Parameters
    ----------
    text
        Such as ``isr=cpus=2,memory=4GB,registry=1``.

    Returns
    -------
    label
        A label, the name of a subset, or a pattern.
    amounts
        How much is needed, by name; memory in bytes.

    Raises
    ------
    ValueError
        With a sentence that says what is wrong.
    """
    label, sign, rest = text.partition("=")
    if not (label and sign and rest):
        raise ValueError(f"{text!r} is not of the form LABEL=cpus=2,memory=4GB,NAME=1")
    found: dict[str, int] = {}
    for part in rest.split(","):
        name, amount = limit_of(part.strip())
        if name in found:
            raise ValueError(f"{text!r} names {name} twice")
        if name == "cpus" and not amount:
            raise ValueError(f"{text!r}: a quantum needs at least one of cpus")
        found[name] = amount
    return label, found


def limit_of(text: str) -> tuple[str, int]:
    """Read a value of ``--limit``, such as ``registry=4`` or ``memory=64GB``; return name and number.

    Raises
    ------
    ValueError
        With a sentence that says what is wrong.
    """
    name, sign, number = text.partition("=")
    if not sign or not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not of the form NAME=NUMBER")
    if name == "memory":
        return name, _bytes(number)
    if not number.isdecimal():
        raise ValueError(f"{text!r}: {number!r} is not a whole number")
    return name, int(number)


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is not a size such as 2000 (megabytes) or 2GB")
    return round(float(found[1]) * _UNITS[found[2].upper()])


def _checked_amounts(text: str) -> str:
    amounts_of(text)
    return text


def _checked_limit(text: str) -> str:
    limit_of(text)
    return text


@dataclass(frozen=True, kw_only=True)
class ResourceOptions:
    """What quanta need, by label, and how much of it there is for all that run at the same time."""

    requests: tuple[str, ...] = option(
        "--resources",
        metavar="LABEL=NAME=N,…",
        default=(),
        parse=_checked_amounts,
        split=False,
        help="What each quantum of a label, subset or pattern needs: cpus, memory, gpus, and names of limits, as in "
        "isr=cpus=2,memory=4GB,registry=1. Later ones override earlier ones.",
        complete="labels",
    )
    limits: tuple[str, ...] = option(
        "--limit",
        metavar="NAME=N",
        default=(),
        parse=_checked_limit,
        help="How much the quanta that run at the same time may need together, as in registry=4. Also for memory and "
        "gpus, of which there is otherwise as much as the machine has.",
    )

    def parsed_requests(self) -> Iterator[tuple[str, Mapping[str, int]]]:
        """Yield label or pattern, and amounts by name, in the order given."""
        yield from map(amounts_of, self.requests)

    def parsed_limits(self) -> dict[str, int]:
        """Return the limits by name; the last one given counts."""
        return dict(map(limit_of, self.limits))
