"""Name options as the user has given them: flags on the command line, arguments in Python.

Messages are written with flags.  Where the command runs, they stay as they are; anywhere else `in_own_words` puts the
arguments of `pipetask.run` in place of the flags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["in_log", "in_own_words", "keyword_of", "note_option", "speaking_of_flags"]


@dataclass(frozen=True)
class _Argument:
    keyword: str
    value: bool | None
    """What a flag without a value stands for; `None` if it needs a value."""

    words: frozenset[str]
    """Values that are words."""


_arguments: dict[str, _Argument] = {}
_FLAG = re.compile(
    r"\b(?:butler|mpiexec|pipetask) [^,:;)']+|"  # a command stays as it is
    r"(?<![\w-])(--[a-z][a-z-]+|-[a-zA-Z])(?![\w-])"
    r"(?: (\d+(?:\.\d+)?|[\w./+-]*[\w/+-])(?=([:,;.)]?)(?:\s|$)))?"
)
_SHOWS_WHERE = "--log-level DEBUG shows where"

_speaks_of_flags = False


@contextmanager
def speaking_of_flags() -> Iterator[None]:
    """Leave messages as they are: this process is the command."""
    global _speaks_of_flags
    before, _speaks_of_flags = _speaks_of_flags, True
    try:
        yield
    finally:
        _speaks_of_flags = before


def keyword_of(flags: Sequence[str]) -> str | None:
    """Return the Python argument for an option: its first long flag, without dashes; `None` if it has none."""
    longs = [flag.partition("/")[0][2:] for flag in flags if flag.startswith("--")]
    return longs[0].replace("-", "_") if longs else None


def note_option(flags: Sequence[str], *, switch: bool, words: Sequence[str] = ()) -> None:
    """Remember an option that messages may name.

    Parameters
    ----------
    flags
        Its flags, such as ``-j`` and ``--processes``, or ``--submit/--no-submit``.
    switch
        Whether it takes no value.
    words
        Words that it takes as a value.
    """
    if (keyword := keyword_of(flags)) is None:
        return
    for flag in flags:
        on, _, off = flag.partition("/")
        _arguments.setdefault(on, _Argument(keyword, True if switch else None, frozenset(words)))
        if off:
            _arguments.setdefault(off, _Argument(keyword, False, frozenset()))


def in_own_words(message: str) -> str:
    """Return a message with arguments in place of flags, unless this process is the command."""
    if _speaks_of_flags:
        return message
    return _FLAG.sub(_as_argument, message.replace(_SHOWS_WHERE, "its __cause__ shows where"))


def in_log(message: str) -> str:
    """Return a message for the log, which has the traceback at level DEBUG, however that is switched on."""
    return message if _speaks_of_flags else message.replace(_SHOWS_WHERE, "log level DEBUG shows where")


def _as_argument(match: re.Match[str]) -> str:
    flag, value, mark = match.groups()
    known = _arguments.get(flag)
    if known is None:
        return match.group()
    rest = "" if value is None else f" {value}"
    if known.value is not None:
        return f"{known.keyword}={known.value}{rest}"
    if value is None:
        return known.keyword
    if re.fullmatch(r"\d+(?:\.\d+)?", value):
        return f"{known.keyword}={value}"
    # A word after a flag may be its value, or just the next word of the sentence.
    if value in known.words or mark == ":" or known.keyword == "mode":
        return f"{known.keyword}={value!r}"
    return f"{known.keyword}{rest}"
