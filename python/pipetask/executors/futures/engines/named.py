"""Objects of the user's that are named as ``package.module.name``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from ....errors import UsageError

__all__ = ["named"]


def named(argument: str, what: str, attribute: str) -> Callable[[], Any]:
    """Return a function that returns an object of a module, or what that returns if it is a function.

    Parameters
    ----------
    argument
        Its name, such as ``package.module.name``.
    what
        What it should be, for the message if it is not there.
    attribute
        What such an object has.

    Raises
    ------
    UsageError
        If the module has no such object; from the function, if the object is something else.
    ImportError
        If there is no such module.
    """
    module, _, name = argument.rpartition(".")
    if not module:
        raise UsageError(f"name {what}, as package.module.name.")
    found = getattr(importlib.import_module(module), name, None)
    if found is None:
        raise UsageError(f"module {module} has no {name}.")

    def checked() -> Any:
        one = found() if callable(found) else found
        if not hasattr(one, attribute):
            raise UsageError(f"{argument} is or returns an object of type {type(one).__name__}: name {what}.")
        return one

    return checked
