"""Outcomes on disk: what is written is what is read, by name, and by one version only."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipetask.batch.outcomes import AttemptTails, AttemptWriter, attempts_of
from pipetask.errors import PipetaskError
from pipetask.journal.outcome_record import from_record, to_record
from pipetask.outcome import QuantumError, QuantumOutcome, Status, StoredOutputs, Usage


def written(folder: Path) -> Path:
    """Write an attempt with one outcome, and return its file."""
    writer = AttemptWriter(folder, 7, "host", None)
    writer.outcome(QuantumOutcome(0, Status.SUCCEEDED))
    writer.end(0)
    (path,) = folder.rglob("000007-*")
    return path


TEXTS = st.text(max_size=20)
COUNTS = st.integers(0, 2**63)
MOMENTS = st.floats(0, 1e10)
DATASETS = st.lists(st.tuples(TEXTS, st.uuids(), st.tuples(TEXTS, COUNTS)), max_size=2)


def outcomes(**given_fields: st.SearchStrategy[object]) -> st.SearchStrategy[QuantumOutcome]:
    """Make outcomes with anything in each of their fields."""
    special: dict[str, st.SearchStrategy[object]] = {
        "id": COUNTS,
        "status": st.sampled_from(Status),
        "error": st.none() | st.builds(QuantumError, TEXTS, TEXTS, TEXTS, st.none() | COUNTS),
        "usage": st.none() | st.builds(Usage, *[st.none() | st.one_of(COUNTS, MOMENTS)] * len(fields(Usage))),
        "outputs": st.none()
        | st.builds(StoredOutputs, DATASETS, st.dictionaries(TEXTS, COUNTS, max_size=2), DATASETS),
        **{name: st.none() | MOMENTS for name in ("start", "end")},
        **{name: st.none() | TEXTS for name in ("host", "reason", "log")},
        **{name: st.none() | COUNTS for name in ("pid", "signal", "exit_code", "blocked_by")},
        **dict.fromkeys(("caveats", "attempt"), COUNTS),
        "out_of_memory": st.booleans(),
        "earlier": st.just(()),
        **given_fields,
    }
    assert set(special) == {each.name for each in fields(QuantumOutcome)}
    return st.builds(QuantumOutcome, **special)


@settings(deadline=None)
@given(outcome=outcomes(earlier=st.lists(outcomes(), max_size=2).map(tuple)))
def test_any_outcome_survives_its_record(
    tmp_path_factory: pytest.TempPathFactory, outcome: QuantumOutcome
) -> None:
    folder = tmp_path_factory.mktemp("outcomes")
    writer = AttemptWriter(folder, 7, "host", None)
    writer.outcome(outcome)
    writer.end(0)
    (attempt,) = attempts_of(folder, 7)
    assert attempt.outcomes == [outcome]
    assert all(type(before) is tuple for before in [each.earlier for each in attempt.outcomes])


@settings(deadline=None)
@given(outcome=outcomes(earlier=st.lists(outcomes(), max_size=1).map(tuple)))
def test_a_record_has_names_and_none_of_our_classes(outcome: QuantumOutcome) -> None:
    record = to_record(outcome)
    assert record["status"] == outcome.status.value
    assert b"pipetask" not in pickle.dumps(record)
    assert from_record(pickle.loads(pickle.dumps(record)), Path("file")) == outcome


def test_a_record_has_nothing_that_is_as_always() -> None:
    assert to_record(QuantumOutcome(3, Status.SUCCEEDED)) == {"id": 3, "status": "succeeded"}


@pytest.mark.parametrize(
    ("beginning", "version"),
    [(b"pipetask journal, version 4\n", "4"), (b"\x1b\x00\x00\x00\x80\x05", "1, 2 or unknown")],
    ids=["later", "earlier"],
)
def test_outcomes_of_another_version_are_refused_in_one_line(
    tmp_path: Path, beginning: bytes, version: str
) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(beginning + content.partition(b"\n")[2])
    with pytest.raises(PipetaskError) as caught:
        attempts_of(tmp_path, 7)
    text = str(caught.value)
    assert text.startswith(f"{path} has outcomes of version {version}, and this pipetask reads version 3: ")
    assert "go on with the version of pipetask that has written the run" in text
    assert "\n" not in text
    with pytest.raises(PipetaskError, match=f"of version {version}"):
        list(AttemptTails(tmp_path).news())


@pytest.mark.parametrize(
    ("wrong", "word"), [({"status": "splendid"}, "splendid"), ({"colour": "red"}, "colour")]
)
def test_an_unknown_status_is_never_taken_for_another(wrong: dict[str, str], word: str) -> None:
    record = to_record(QuantumOutcome(0, Status.SUCCEEDED)) | wrong
    with pytest.raises(PipetaskError, match=word):
        from_record(record, Path("file"))
