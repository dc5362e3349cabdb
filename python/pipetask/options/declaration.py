"""How an option is declared: as a field of a frozen dataclass.

For instance::

    @dataclass(frozen=True, kw_only=True)
    class OutputOptions:
        output: str | None = option("-o", "--output", metavar="COLL", help="Output CHAINED collection.")
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..errors import UsageError
from ..wording import keyword_of, note_option

__all__ = [
    "Declared",
    "Edit",
    "Edits",
    "Option",
    "OwnedOptions",
    "argument",
    "assemble",
    "check_group",
    "declared",
    "edits",
    "option",
    "owned",
    "refuse_group",
    "section",
]

Completion = Literal[
    "labels", "modes", "files", "folders", "pipelines", "show", "levels", "collections", "dataset types"
]
"""What the shell may offer for a value."""

_Model = TypeVar("_Model")


@dataclass(frozen=True)
class Option:
    """An option of the command line, or an argument if it has no flags."""

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    """The smallest number allowed."""

    above: float | None = None
    """A number that the value has to exceed."""

    parse: Callable[[str], Any] | None = None
    """Turns one text into a value; raises `ValueError` with a sentence that says what is wrong with it."""

    split: bool = True
    """Whether a value that may be repeated can also be given comma-separated."""

    flag_value: str | None = None
    """The value if the option is given without one."""

    default_text: str | None = None
    """What the help says about the default, where the value does not say it."""

    complete: Completion | None = None
    new_file: bool = False
    """Whether the value names a file that will be written; its folder has to exist."""

    once: bool = False
    """Whether it is refused if it is given twice, where the last would otherwise be taken."""


@dataclass(frozen=True)
class Edit:
    """One of several options whose relative order matters."""

    flags: tuple[str, ...]
    help: str
    metavar: str
    parse: Callable[[str], Any]
    split: bool = False
    complete: Completion | None = None


@dataclass(frozen=True)
class Edits:
    """Options that together make one field: a tuple of what they parse to, in the order given."""

    kinds: tuple[Edit, ...]


@dataclass(frozen=True)
class Declared:
    """One declared field of a model."""

    name: str
    """The field's name, unique in its command."""

    sections: tuple[str, ...]
    """Titles of the groups that it is in."""

    annotation: Any
    default: Any
    """`dataclasses.MISSING` if a value is required."""

    option: Option | Edits
    owners: tuple[str, ...] = ()
    """Names of what takes it, if that is not the command itself: see `owned`."""

    @property
    def section(self) -> str:
        """The title under which the help shows it; empty for options of the command itself."""
        return self.sections[-1] if self.sections else ""

    @property
    def identity(self) -> tuple[str, Option | Edits, Any]:
        """What options have in common that are the same option in several groups."""
        return self.name, self.option, self.default

    @property
    def long_name(self) -> str:
        """The first long flag without dashes, which is also its name in files; or the field's name."""
        return self.keyword.replace("_", "-") if self.option_flags else self.name

    @property
    def keyword(self) -> str:
        """The name of the argument in Python: the first long flag, with underscores; or the field's name."""
        return keyword_of(self.option_flags) or self.name

    @property
    def option_flags(self) -> tuple[str, ...]:
        """Its flags; none for an argument, and for edits."""
        return self.option.flags if isinstance(self.option, Option) else ()


@dataclass(frozen=True)
class OwnedOptions:
    """Values of options that have owners; each owner takes its own."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """By field name; what is missing has its default."""

    def of(self, group: type[_Model]) -> _Model:
        """Return an owner's options."""
        return assemble(group, self.values)


def option(*flags: str, help: str, default: Any = None, **more: Any) -> Any:
    """Declare a field as an option; pass ``default=MISSING`` if it has to be given.

    Parameters
    ----------
    flags
        Such as ``-j``, ``--processes``, or ``--log-tty/--no-log-tty``.
    help
        One or two sentences for ``--help``.
    default
        The field's default.
    more
        Fields of `Option`.
    """
    words = (
        [str(each.value) for each in type(default)] if isinstance(default, Enum) else more.get("choices", ())
    )
    note_option(flags, switch=isinstance(default, bool), words=words)
    return field(default=default, metadata={"option": Option(flags, help, **more)})


def argument(help: str, default: Any = MISSING, **more: Any) -> Any:
    """Declare a field as a positional argument; ``default=()`` makes one that takes any number."""
    return field(default=default, metadata={"option": Option((), help, **more)})


def edits(*kinds: Edit) -> Any:
    """Declare a field that several options fill in the order in which they come."""
    return field(default=(), metadata={"option": Edits(kinds)})


def section(title: str, group: type[_Model]) -> _Model:
    """Declare a field that is a group of options, with a title in the help."""
    return typing.cast(_Model, field(metadata={"section": title, "group": group}, **_default_of(group)))


Groups = Callable[[], Mapping[str, tuple[type[Any], ...]]]
"""Returns groups of options by owner."""


def owned(title: str, groups: Groups) -> OwnedOptions:
    """Declare a field with the options of several owners, such as execution models, of which one is chosen.

    An option that several owners have in common (same field name, same declaration, same default) is one option.

    Parameters
    ----------
    title
        Title in the help, with ``{}`` for the names of the owners.
    groups
        Returns the groups of options by owner; called when options are asked for, and not before.
    """
    return field(metadata={"title": title, "groups": groups}, default_factory=OwnedOptions)


def _default_of(group: type[Any]) -> dict[str, Any]:
    required = any(f.default is MISSING and f.default_factory is MISSING for f in fields(group))
    return {} if required else {"default_factory": group}


def declared(model: type[Any], title: str = "") -> Iterator[Declared]:
    """Iterate over all options of a model, those of its groups included, in the order of declaration."""
    return _declared(model, (title,) if title else ())


def _declared(model: type[Any], sections: tuple[str, ...]) -> Iterator[Declared]:
    hints = typing.get_type_hints(model)
    for each in fields(model):
        if "section" in each.metadata:
            title = each.metadata["section"]
            inner = (*sections, title) if title else sections
            yield from _declared(each.metadata["group"], inner)
        elif "groups" in each.metadata:
            yield from _owned(each.metadata["title"], each.metadata["groups"]())
        elif "option" in each.metadata:
            yield Declared(each.name, sections, hints[each.name], each.default, each.metadata["option"])


def _owned(title: str, groups: Mapping[str, tuple[type[Any], ...]]) -> Iterator[Declared]:
    found: dict[tuple[str, Option | Edits, Any], Declared] = {}
    for owner, several in groups.items():
        for each in (each for group in several for each in declared(group)):
            known = found.get(each.identity, each)
            found[each.identity] = replace(known, owners=(*known.owners, owner))
    for each in found.values():
        yield replace(each, sections=(title.format(", ".join(each.owners)),))


def assemble(model: type[_Model], values: Mapping[str, Any]) -> _Model:
    """Make an instance of a model, groups and all, from values by field name; what is missing has its default."""
    assert is_dataclass(model)
    found: dict[str, Any] = {}
    for each in fields(model):
        if "section" in each.metadata:
            found[each.name] = assemble(each.metadata["group"], values)
        elif "groups" in each.metadata:
            names = {one.name for one in _owned("", each.metadata["groups"]())}
            found[each.name] = OwnedOptions({name: values[name] for name in names & values.keys()})
        elif each.name in values:
            found[each.name] = values[each.name]
    return typing.cast(_Model, model(**found))


def check_group(value: object, group: type[Any], name: str = "options") -> None:
    """Refuse what a program has given in the place of a group of options, also for the groups in it.

    Parameters
    ----------
    value
        What was given.
    group
        The class that it has to be of.
    name
        Name of the argument, for the message.

    Raises
    ------
    UsageError
        If it is of another class, with the way in which that class can be given, if there is one.
    """
    if not isinstance(value, group):
        place = _place_of(type(value), group)
        raise UsageError(f"{name} is of type {type(value).__name__}: give {group.__name__}({place or '…'}).")
    for each in fields(value):
        if "group" in each.metadata:
            check_group(getattr(value, each.name), each.metadata["group"], f"{name}.{each.name}")


def refuse_group(value: object, name: str) -> None:
    """Refuse a group of options in the place of a single value."""
    if is_dataclass(value):
        raise UsageError(f"{name} is of type {type(value).__name__}: options are for from_options(…).")


def _place_of(kind: type[Any], group: type[Any]) -> str | None:
    """Return the keyword with which an instance of a class is given to a group; `None` if it has no place there."""
    for each in fields(group):
        inner = each.metadata.get("group")
        if inner is kind:
            return f"{each.name}={kind.__name__}(…)"
        if inner is not None and (place := _place_of(kind, inner)):
            return f"{each.name}={inner.__name__}({place})"
    return None


def item_type(annotation: Any) -> tuple[Any, type | None]:
    """Take an annotation apart.

    Returns
    -------
    item
        The type of one value, without `None`; a path that may also be a `pathlib.Path` is a string.
    container
        `tuple` or `frozenset` if it holds several.
    """
    annotation = _main_part(annotation)
    origin = typing.get_origin(annotation)
    if origin in (tuple, frozenset):
        return _main_part(typing.get_args(annotation)[0]), origin
    return annotation, None


def _main_part(annotation: Any) -> Any:
    if typing.get_origin(annotation) not in (types.UnionType, typing.Union):
        return annotation
    parts = [part for part in typing.get_args(annotation) if part not in (type(None), Path)]
    return parts[0] if len(parts) == 1 else annotation  # edits are of several types
