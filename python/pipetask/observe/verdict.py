"""The verdict on a run: a word, and a sentence."""

from __future__ import annotations

from ..outcome import Kind
from .count_table import STATUS_ORDER
from .summary import RunSummary

__all__ = ["verdict"]


def verdict(summary: RunSummary) -> tuple[str, str]:
    """Return a word such as ``succeeded``, ``failed`` or ``submitted``, and a sentence that begins with it.

    Parameters
    ----------
    summary
        The summary of the run.
    """
    total = summary.total
    parts = [f"outputs of {summary.unregistered} quanta not registered"] if summary.unregistered else []
    parts += [f"{number} {status.value}" for status in STATUS_ORDER if (number := total[status])]
    if again := sum(1 for outcome in summary.outcomes if outcome.earlier):
        parts.append(f"{again} needed more than one attempt")
    word = _word(summary)
    what = f"{', '.join(parts)} in" if parts else "no quantum was run; the registry was made ready in"
    sentence = f"{word}: {what} {summary.end - summary.start:.1f} s"
    if summary.stopped and (summary.error is None or summary.signal is not None):  # the error is said already
        sentence += f" ({summary.stopped})"
    return word, sentence


def _word(summary: RunSummary) -> str:
    if summary.exit_code or summary.goes_on:
        return summary.status
    handed_on = [status for status in STATUS_ORDER if status.kind is Kind.HANDED_ON and summary.total[status]]
    return handed_on[-1].value if handed_on else summary.status
