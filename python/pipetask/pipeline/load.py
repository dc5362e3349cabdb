"""Read a pipeline from a file."""

from __future__ import annotations

import re

import yaml
from lsst.pipe.base import Pipeline
from lsst.resources import ResourcePath

from ..errors import PipetaskError, UsageError, did_you_mean, reason_of

__all__ = ["load_pipeline"]


def load_pipeline(uri: str) -> Pipeline:
    """Read a pipeline.

    Parameters
    ----------
    uri
        File or URI; tasks may follow as in ``FILE#LABEL,SUBSET`` or ``FILE#FIRST..LAST``.

    Raises
    ------
    UsageError
        If the file or one of these tasks does not exist.
    PipetaskError
        If the file, or one that it imports, is not a pipeline.
    """
    try:
        return Pipeline.from_uri(uri)
    except Exception as error:  # the file may contain anything
        raise _refusal(uri, error) from error


def _refusal(uri: str, error: Exception) -> PipetaskError:
    path, _, labels = uri.partition("#")
    if isinstance(error, IsADirectoryError):
        return UsageError(f"{path or 'An empty name'} is no file: name a pipeline file with -p.")
    if isinstance(error, FileNotFoundError) and not ResourcePath(path).exists():
        return UsageError(f"There is no pipeline file {path}: check the name given with -p.")
    if "legacy :" in str(error):  # the older syntax for tasks, which pipe_base refuses
        return UsageError(f"{path}: what follows a colon is no task; tasks are named as in FILE#LABEL.")
    if labels and (missing := _unknown_labels(path, labels)):
        return UsageError(f"{uri}: {missing}")
    return PipetaskError(f"{path} {_defect(error)}.")


def _defect(error: Exception) -> str:
    match error:
        case yaml.YAMLError() | UnicodeError():
            return f"is not YAML ({' '.join(str(error).split())})"
        case KeyError(args=[str(key)]) if key.isidentifier():
            return f"is not a pipeline: something in it has no {key!r}"
        case TypeError() | AttributeError():
            return f"does not have the form of a pipeline ({reason_of(error)})"
        case _:
            return f"cannot be read as a pipeline: {reason_of(error)}"


def _unknown_labels(path: str, labels: str) -> str | None:
    """Return what is wrong with the requested labels; `None` if nothing is."""
    try:
        pipeline = Pipeline.from_uri(path)
    except Exception:
        return None  # the error in the file is already known
    known = [*pipeline.task_labels, *pipeline.subsets]
    for label in filter(None, re.split(r",|\.\.", labels)):
        if label not in known:
            return f"the pipeline has no task or subset {label!r}{did_you_mean(label, known)}"
    return None
