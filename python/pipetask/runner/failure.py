"""Turn an exception into text that survives any process boundary."""

from __future__ import annotations

import traceback

from ..outcome import QuantumError, shortened

__all__ = ["describe_exception", "encodable"]

LONGEST_TEXT = 100_000
"""Characters of a message or traceback that are kept; the log dataset has the whole message."""


def describe_exception(error: BaseException) -> QuantumError:
    """Describe an exception: type, message and traceback, causes included.

    Parameters
    ----------
    error
        The exception.  It may be huge, and its ``__str__`` may raise.
    """
    exit_code = getattr(type(error), "EXIT_CODE", None)
    return QuantumError(
        type_name=_type_name(type(error)),
        message=shortened(encodable(_safe_text(error)), LONGEST_TEXT),
        traceback=shortened(encodable(_safe_traceback(error)), LONGEST_TEXT),
        exit_code=exit_code if isinstance(exit_code, int) else None,
    )


def _type_name(kind: type) -> str:
    """Return the public name of a class, which may be shorter than that of its defining module."""
    from lsst.utils.introspection import get_full_type_name  # slow, and most runs have no failures

    try:
        return str(get_full_type_name(kind))
    except Exception:  # ``__module__`` may be anything
        return kind.__qualname__


def _safe_text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as nested:
        return f"<the exception's own message failed with {type(nested).__name__}>"


def _safe_traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        frames = "".join(traceback.format_tb(error.__traceback__))
        return f"Traceback (most recent call last):\n{frames}{_type_name(type(error))}: {_safe_text(error)}\n"


def encodable(text: str) -> str:
    """Return a text that can be encoded: lone surrogates, from file names that are not UTF-8, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
