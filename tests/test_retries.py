"""Other attempts: which failures get them, what is kept of the earlier ones, and what is left in a repository."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from fault_tasks import BombTask
from pipetask.errors import UsageError
from pipetask.executors.base import ExecutionContext, QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.retries import RetryPolicy, RetryRule
from pipetask.options.retries import RetryOptions
from pipetask.outcome import QuantumError, QuantumOutcome, Status
from pipetask.testing import CallSpec, MockPipeline, enumerated
from pipetask.testing.conformance import execute
from toy_work import Recorder

from conftest import Repository, run_pipetask  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

KILLED = QuantumOutcome(0, Status.KILLED)
TOO_LONG = QuantumOutcome(0, Status.TIMED_OUT)


def raised(name: str, exit_code: int | None = None) -> QuantumOutcome:
    return QuantumOutcome(0, Status.FAILED, error=QuantumError(name, "", "", exit_code))


@pytest.mark.parametrize(
    ("rule", "outcomes", "delay"),
    [
        (RetryRule(), [KILLED], None),
        (RetryRule(), [raised("OSError")], None),
        (RetryRule(retries=1), [KILLED], 0),
        (RetryRule(retries=1), [KILLED, KILLED], None),
        (RetryRule(retries=1), [raised("OSError")], None),
        (RetryRule(retries=9), [QuantumOutcome(0, Status.KILLED, out_of_memory=True)], None),
        (RetryRule(retries=9), [TOO_LONG], None),
        (RetryRule(retries=9, timeouts=True), [TOO_LONG], 0),
        (RetryRule(retries=9, error_retries=9), [QuantumOutcome(0, Status.CANCELLED)], None),
        (RetryRule(error_retries=1), [raised("OSError")], 0),
        (RetryRule(error_retries=1), [raised("lsst.x.BadError", 20)], None),
        (RetryRule(error_retries=1), [raised("lsst.x.WorseError", 21)], None),
        (RetryRule(error_retries=1), [raised("MemoryError")], None),
        (RetryRule(error_retries=1), [raised("numpy.core._ArrayMemoryError")], 0),
        (RetryRule(error_retries=1, exceptions=("*TimeoutError",)), [raised("a.b.ReadTimeoutError")], 0),
        (RetryRule(error_retries=1, exceptions=("a.b.*",)), [raised("a.b.ReadTimeoutError")], 0),
        (RetryRule(error_retries=1, exceptions=("OSError", "IOError")), [raised("KeyError")], None),
        # One kind of failure does not use up the attempts of the other.
        (RetryRule(retries=1, error_retries=1), [KILLED, raised("OSError")], 0),
        (RetryRule(retries=1, error_retries=1), [raised("OSError"), KILLED, raised("OSError")], None),
        (RetryRule(error_retries=9, delay=10), [raised("OSError")], 10),
        (RetryRule(error_retries=9, delay=10), [raised("OSError")] * 3, 40),
        (RetryRule(error_retries=99, delay=10), [raised("OSError")] * 50, 3600),
        (RetryRule(error_retries=9999, delay=10), [raised("OSError")] * 1500, 3600),
    ],
)
def test_rules(rule: RetryRule, outcomes: list[QuantumOutcome], delay: float | None) -> None:
    assert rule.delay_before_next(outcomes) == delay


MODELS = {
    "in-process": InProcessExecutor,
    "multiprocess": lambda: MultiprocessExecutor(2),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> QuantumExecutor:
    return MODELS[request.param]()


def policy(**rule: object) -> RetryPolicy:
    return RetryPolicy(RetryRule(**rule))  # type: ignore[arg-type]


CHAIN = ({"a": 2, "b": 2}, [(0, 2), (1, 3)])


@pytest.mark.slow
def test_what_succeeds_at_last_has_succeeded(model: QuantumExecutor, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail_twice"),))
    outcomes = execute(model, enumerated(*CHAIN), work, retries=policy(error_retries=2), fail_fast=True)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert [work.attempts(id) for id in range(4)] == [3, 1, 1, 1]
    assert outcomes[0].attempt == 3
    messages = [before.error.message for before in outcomes[0].earlier if before.error is not None]
    assert messages == ["bomb 1", "bomb 2"]
    assert (outcomes[1].attempt, outcomes[1].earlier) == (1, ())


@pytest.mark.slow
def test_what_fails_to_the_end_has_failed_once(model: QuantumExecutor, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail"),))
    outcomes = execute(model, enumerated(*CHAIN), work, retries=policy(error_retries=2))
    assert [outcomes[id].status.value for id in range(4)] == ["failed", "blocked", "succeeded", "succeeded"]
    assert outcomes[1].blocked_by == 0
    assert (outcomes[0].attempt, len(outcomes[0].earlier)) == (3, 2)
    assert work.attempts(0) == 3


@pytest.mark.slow
def test_a_label_has_its_own_rule(model: QuantumExecutor, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail"), (1, "fail")))
    rules = RetryPolicy(RetryRule(error_retries=1), {"b": RetryRule()})
    execute(model, enumerated({"a": 1, "b": 1}), work, retries=rules)
    assert [work.attempts(0), work.attempts(1)] == [2, 1]


@pytest.mark.slow
def test_a_killed_quantum_is_tried_again(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "die_once"),))
    outcomes = execute(MultiprocessExecutor(2), enumerated(*CHAIN), work, retries=policy(retries=1))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    (before,) = outcomes[0].earlier
    assert (before.status, before.signal) == (Status.KILLED, 9)
    assert "bomb" in Path(before.log or "").read_text(), "the log of the attempt that was killed is kept"
    Path(before.log or "").unlink()
    Path(before.log or "").parent.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize("timeouts", [True, False])
def test_timeouts_are_tried_again_where_asked(tmp_path: Path, timeouts: bool) -> None:
    work = Recorder(tmp_path, bombs=((0, "hang_once"),))
    outcomes = execute(
        MultiprocessExecutor(1),
        enumerated({"a": 1}),
        work,
        retries=policy(retries=1, timeouts=timeouts),
        timeout=4.0,
    )
    assert outcomes[0].status is (Status.SUCCEEDED if timeouts else Status.TIMED_OUT)


@pytest.mark.slow
def test_others_run_while_one_waits_for_its_next_attempt(model: QuantumExecutor, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail_once"),))
    # Long enough for the other worker to come meanwhile, and for all that it has.
    execute(model, enumerated({"a": 4}), work, retries=policy(error_retries=1, delay=5.0))
    first, second = (float(line.split()[1]) for line in (tmp_path / "0.start").read_text().splitlines())
    assert second - first >= 5.0
    assert all(float((tmp_path / f"{id}.end").read_text()) < second for id in (1, 2, 3))


@pytest.mark.slow
def test_a_stop_ends_the_waiting_with_the_failure(model: QuantumExecutor, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail"),))
    context = ExecutionContext(
        enumerated(*CHAIN), CallSpec(work), retries=policy(error_retries=5, delay=3600)
    )

    # When all else has ended; whether the model waits by then or is about to, the end is the same.
    stops = threading.Timer(0.2, context.stop.ask, ["enough"])
    outcomes = {}
    for outcome in model.execute(context.graph, context):
        outcomes[outcome.id] = outcome
        if outcome.id == 3:
            stops.start()
    stops.join()
    context.stop.close()
    assert [outcomes[id].status.value for id in range(4)] == ["failed", "cancelled", "succeeded", "succeeded"]
    assert outcomes[0].error is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("isr: {retries: -1}", "retries cannot be -1"),
        ("isr: {error_retries: true}", "error_retries cannot be True"),
        ("isr: {delay: soon}", "delay cannot be 'soon'"),
        ("isr: {exceptions: 3}", "exceptions cannot be 3"),
        ("isr: {retrys: 1}", "did you mean 'retries'"),
        ("iso: {retries: 1}", "did you mean 'isr'"),
        ("isr: 3", "has no settings"),
        ("[", "cannot be read"),
    ],
)
def test_files_with_mistakes_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "retries.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        RetryPolicy.from_options(RetryOptions(retry_file=str(path)), ["isr", "characterize"])


def test_a_file_is_laid_over_the_options(tmp_path: Path) -> None:
    path = tmp_path / "retries.yaml"
    path.write_text("isr: {error_retries: 3, exceptions: OSError}\n'*': {retries: 2, delay: 5}\n")
    options = RetryOptions(retries=1, error_retries=1, retry_file=str(path))
    made = RetryPolicy.from_options(options, ["isr", "gather"])
    assert made.rule("isr") == RetryRule(2, 3, ("OSError",), delay=5.0)
    assert made.rule("gather") == RetryRule(2, 1, delay=5.0)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-j", "2"], ["--output-butler", "full"]], ids=str)
def test_a_repository_after_retries_is_like_any_other(
    make_repository: Callable[..., Repository], tmp_path: Path, options: list[str]
) -> None:
    config = {"bomb": "fail_once", "bomb_where": "exposure=0 AND detector=1", "bomb_folder": str(tmp_path)}
    repository = make_repository(MockPipeline(1, 2, task_classes={"isr": BombTask}, configs={"isr": config}))
    summary = tmp_path / "summary.json"
    more = ["--error-retries", "1", "--summary", str(summary), *options]
    done = run_pipetask(*repository.arguments(*more))
    assert done.code == 0, done.err
    assert "1 needed more than one attempt" in done.err
    quanta = json.loads(summary.read_text())["quanta"]
    (tried,) = [quantum for quantum in quanta if "earlierAttempts" in quantum]
    assert (tried["attempt"], tried["outcome"]) == (2, "succeeded")
    assert tried["earlierAttempts"][0]["exceptionInfo"]["message"] == "bomb 1"
    with Butler.from_config(str(repository.root)) as butler:
        found = set(butler.registry.queryDatasets(..., collections="u/out/run"))
        assert all(butler.stored_many(found).values())
        (log,) = (
            ref for ref in found if ref.datasetType.name.endswith("isr_log") and ref.dataId["detector"] == 1
        )
        assert "bomb 1" in json.dumps(butler.get(log).extra["previous_attempts"], default=str)
