"""Options as keyword arguments of a Python function: their names, values and descriptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from enum import Enum
from functools import wraps
from os import PathLike, fspath
from typing import Any, TypeVar, cast

from ..errors import UsageError, did_you_mean
from ..wording import in_own_words
from .declaration import Declared, Option, declared, item_type

__all__ = ["described_by", "keywords", "suggests_keywords", "values_of"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def keywords(groups: Iterable[type[Any]]) -> dict[str, Declared]:
    """Return the options of some groups by keyword, which is the name of the option on the command line."""
    return {each.keyword: each for group in groups for each in declared(group)}


def values_of(groups: Iterable[type[Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check and convert keyword arguments.

    Parameters
    ----------
    groups
        The groups of options.
    given
        Values by keyword.  Several values may be given as any iterable, or as one; a member of an enumeration by its
        word; a path as `pathlib.Path`.

    Returns
    -------
    values
        By field name, as `~pipetask.options.declaration.assemble` takes them.

    Raises
    ------
    UsageError
        If a value makes no sense.
    """
    return {each.name: _value(each, given[name]) for name, each in keywords(groups).items() if name in given}


def _value(each: Declared, value: Any) -> Any:
    item, container = item_type(each.annotation)
    assert isinstance(each.option, Option)
    if value is None and each.default is None:
        return None
    try:
        if container is None:
            return _one(item, each.option, value)
        several = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
        found = container(_one(item, each.option, one) for one in several)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{each.keyword}={value!r}: {error}.") from error
    return (found or None) if each.default is None else found


def _one(item: Any, option: Option, value: Any) -> Any:
    if isinstance(item, type) and issubclass(item, Enum):
        return _member(item, value)
    if item is str and isinstance(value, PathLike):
        value = fspath(value)
    if option.parse is not None and isinstance(value, str):
        value = option.parse(value)
        if value is None:  # an empty text stands for the default
            return None
    wanted = (int, float) if item is float else item
    if not isinstance(value, wanted) or (isinstance(value, bool) and item is not bool):
        raise TypeError(f"it must be {_ARTICLES.get(item, item.__name__)}")
    if option.choices and value not in option.choices:
        raise ValueError(f"choose one of {', '.join(map(repr, option.choices))}")
    if option.minimum is not None and value < option.minimum:
        raise ValueError(f"it must be at least {option.minimum}")
    if option.above is not None and not value > option.above:
        raise ValueError(f"it must be more than {option.above}")
    return value


_ARTICLES = {str: "a string", int: "an integer", float: "a number", bool: "True or False"}


def _member(kind: type[Enum], value: Any) -> Enum:
    try:
        return kind(value)
    except ValueError as error:
        words = ", ".join(repr(each.value) for each in kind)
        raise ValueError(f"choose one of {words}") from error


def suggests_keywords(function: _Function) -> _Function:
    """Let a function that is called with a misspelt keyword name the one that was meant."""
    known = inspect.signature(function).parameters

    @wraps(function)
    def checked(*args: Any, **given: Any) -> Any:
        for name in given.keys() - known.keys():
            raise TypeError(f"{function.__name__}() has no argument {name!r}{did_you_mean(name, known)}")
        return function(*args, **given)

    return cast(_Function, checked)


def described_by(groups: Sequence[type[Any]]) -> Callable[[_Function], _Function]:
    """Return a decorator that adds the options of some groups to the parameters in a function's docstring."""

    def describe(function: _Function) -> _Function:
        text = inspect.cleandoc(function.__doc__ or "")
        before, heading, after = text.partition("\n\nReturns\n-------")
        function.__doc__ = "\n".join([before, *_descriptions(keywords(groups)), heading + after])
        return function

    return describe


def _descriptions(options: Mapping[str, Declared]) -> Iterator[str]:
    for name, each in options.items():
        assert isinstance(each.option, Option)
        default = (
            ""
            if each.default in (None, (), "", False, MISSING)
            else f" The default is {_shown(each.default)}."
        )
        if each.option.default_text:
            default = f" Default: {each.option.default_text}."
        yield f"{name}\n    {in_own_words(each.option.help.rstrip('.') + '.' + default)}"


def _shown(value: Any) -> str:
    return repr(value.value if isinstance(value, Enum) else value)
