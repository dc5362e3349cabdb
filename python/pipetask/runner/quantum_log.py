"""The log of one quantum."""

from __future__ import annotations

import copy
import logging
from typing import Any

from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords

from .failure import encodable

__all__ = ["QuantumLog"]


class QuantumLog(ButlerLogRecords):
    """Log records that can be stored whatever they contain.

    Notes
    -----
    The log is stored after all other outputs of the quantum.  So a record that cannot be formatted, or a file name in
    it that is not UTF-8, must not raise an exception.
    """

    extra: dict[str, Any]

    def __init__(self, records: list[ButlerLogRecord] | None = None, extra: dict[str, object] | None = None):
        super().__init__([] if records is None else records, extra)

    def append(self, value: logging.LogRecord | ButlerLogRecord) -> None:
        """Add a record; if it cannot be formatted, its message says so."""
        try:
            super().append(value)
        except Exception as error:
            if not isinstance(value, logging.LogRecord):
                raise
            super().append(_replacement(value, error))

    def to_json_data(self) -> str:
        """Return the records as JSON, with escapes for what JSON cannot contain."""
        try:
            return super().to_json_data()
        except Exception:
            self._records[:] = [_encodable_record(record) for record in self._records]
            self.extra = _encodable(self.extra)
            return super().to_json_data()


def _replacement(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    replacement = copy.copy(record)
    replacement.args = ()
    try:
        replacement.msg = record.getMessage()
        replacement.exc_info, replacement.MDC = None, {}  # one of these it was, then
    except Exception:
        replacement.msg = (
            f"a message that could not be formatted: {_repr(record.msg)} ({type(error).__name__})"
        )
    return replacement


def _encodable_record(record: ButlerLogRecord) -> ButlerLogRecord:
    return record.model_copy(update=_encodable(record.__dict__))


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value


def _repr(value: object) -> str:
    try:
        return encodable(repr(value))
    except Exception:
        return f"<{type(value).__name__}>"
