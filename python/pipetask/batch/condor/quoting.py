"""Put any text where HTCondor reads it, so that it comes out as it went in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...errors import UsageError
from .bindings import condor

__all__ = [
    "arguments",
    "attribute",
    "environment",
    "expression",
    "submit_command",
    "value",
    "vars_text",
]

_STATEMENTS = {"queue", "if", "elif", "else", "endif"}
"""What is no command in a submit description, even with an equals sign behind it."""


def value(text: str, what: str) -> str:
    """Return a text as the value of a submit command.

    Parameters
    ----------
    text
        The text.
    what
        What it is, for the error.

    Raises
    ------
    UsageError
        If no submit description can hold it: line breaks, nulls, two dollars in a row, a dollar's own macro, white
        space at an end, or a backslash at the end.
    """
    if text != text.strip() or text.endswith("\\"):
        raise UsageError(
            f"{what} is {text!r}: HTCondor takes no space at an end, and no backslash at the end."
        )
    return _without_macros(text, what)


def submit_command(name: str) -> str:
    """Return the name of a submit command.

    Raises
    ------
    UsageError
        If a submit description has no such commands.
    """
    if not re.fullmatch(r"((\+|My\.)?[A-Za-z_]\w*)", name, re.ASCII | re.IGNORECASE):
        raise UsageError(f"submit command {name!r}: a name has letters, digits and underscores only.")
    if name.lower() in _STATEMENTS:
        raise UsageError(
            f"submit command {name!r}: it would end or part the description of the job: leave it out."
        )
    return name


def expression(name: str, text: str) -> tuple[str, str]:
    """Return the submit command that gives jobs an attribute, and its value.

    Parameters
    ----------
    name
        The attribute.
    text
        The expression.

    Raises
    ------
    UsageError
        If HTCondor would not take the name or the expression.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise UsageError(
            f"attribute {name!r}: a name has letters, digits and underscores only, and neither + nor My. before it."
        )
    said = value(text, f"attribute {name}")
    try:
        # Where HTCondor reads it, a backslash escapes nothing but quotes.
        condor().classad.ExprTree(re.sub(r'\\(?!")', r"\\\\", text))
    except Exception as error:  # the bindings have a class of their own
        raise UsageError(
            f"attribute {name} is {text!r}, which is no ClassAd expression: a text needs double quotes around it, as "
            f"in attributes.{name}='\"text\"'."
        ) from error
    return f"My.{name}", said


def arguments(words: Iterable[str]) -> str:
    """Return the value of ``arguments``, in the new syntax; a word may refer to a macro as `Macro`."""
    return _quoted(words, "an argument")


def environment(variables: Mapping[str, str]) -> str:
    """Return the value of ``environment``, in the new syntax."""
    for name in variables:
        if not re.fullmatch(r"[^\s='\"]+", name):
            raise UsageError(f"environment variable {name!r}: HTCondor cannot be told of such a name.")
    try:
        return _quoted((f"{name}={text}" for name, text in variables.items()), "an environment variable")
    except UsageError as error:
        raise UsageError(f"{error}  Leave it out of pass_environment, or set it with environment.") from error


class Macro(str):
    """A reference to a macro, which is left as it is."""


def _quoted(words: Iterable[str], what: str) -> str:
    return '"' + " ".join(_word(word, what) for word in words) + '"'


def _word(word: str, what: str) -> str:
    if isinstance(word, Macro):
        return word
    text = _without_macros(word, what).replace('"', '""').replace("'", "''")
    return f"'{text}'" if not text or re.search(r"[\s']", text) else text


def _without_macros(text: str, what: str) -> str:
    """Return a text in which no macro is found; the dollar, with which all begin, is itself a macro."""
    if re.search(r"[\n\r\0]|\$\$|\$\(DOLLAR\)", text, re.IGNORECASE):
        raise UsageError(
            f"{what} is {text!r}: HTCondor takes no line breaks, no two dollars in a row, and no $(DOLLAR)."
        )
    return text.replace("$", "$(DOLLAR)")


def attribute(text: str) -> str:
    """Return a text as a ClassAd string in a submit description, where a backslash escapes nothing but quotes."""
    return '"' + _without_macros(text, "an attribute").replace('"', '\\"') + '"'


def vars_text(text: str) -> str:
    """Return a text as the value of a DAG's ``VARS``."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
