"""The text of DAGs and submit descriptions, and the settings behind it; no daemon is needed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import classad2
import htcondor2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dag_reader import read_dag, split_words, without_joins
from pipetask.batch.bundling import BundlingOptions, bundle
from pipetask.batch.condor.configuration import CondorConfiguration
from pipetask.batch.condor.dag_text import DagText, retried
from pipetask.batch.condor.quoting import (
    arguments,
    attribute,
    environment,
    expression,
    value,
    vars_text,
)
from pipetask.batch.condor.slots import Slot, check_requests
from pipetask.batch.condor.submit_description import JobKind, environment_for, submit_commands
from pipetask.batch.graph_parts import deal
from pipetask.batch.names import node_name, plain_name
from pipetask.errors import PipetaskError, UsageError
from pipetask.settings.layers import megabytes
from pipetask.testing import enumerated

from test_enumeration import random_graphs  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

GOLDEN = Path(__file__).parent / "golden"


def text_of(
    counts: dict[str, int], edges: list, size: int, *, first: bool = False, in_parts: bool = False
) -> tuple[str, list]:
    graph = enumerated(counts, edges)
    nodes = bundle(graph, graph, BundlingOptions(size=size)).nodes
    kinds = {labels: f"kind{n}" for n, labels in enumerate(sorted({node.labels for node in nodes}))}
    text = DagText(
        nodes,
        kinds,
        {"PipetaskRun": '"id"'},
        first,
        goes_on=not in_parts,
        comment="a\nb",
        parts=list(deal(nodes)) if in_parts else (),
    )
    return "".join(f"{line}\n" for line in text.lines()), nodes


def check_golden(name: str, text: str) -> None:
    """Compare with a file; PIPETASK_GOLDEN=write writes it again."""
    path = GOLDEN / name
    if os.environ.get("PIPETASK_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_the_dag_is_as_it_was() -> None:
    edges = [(a, 3 + b) for a in range(3) for b in range(3)] + [(3, 6), (4, 6), (5, 6)]
    check_golden("run.dag", text_of({"isr": 3, "co add": 3, "last": 1}, edges, 1, first=True)[0])


def test_the_dag_of_a_run_whose_jobs_get_parts_of_it_is_as_it_was() -> None:
    edges = [(0, 3), (1, 3), (2, 3), (3, 4)]
    check_golden("parts.dag", text_of({"isr": 3, "coadd": 1, "last": 1}, edges, 1, in_parts=True)[0])


def test_the_submit_description_is_as_it_was() -> None:
    settings = ("python=/usr/bin/python3", "request_memory=3GB", "enforce_memory=true", "priority=5")
    loaded = CondorConfiguration.load(None, settings)
    kind = JobKind("kind0", ("isr", "b"), None, loaded.for_labels(["isr", "b"]))
    variables = {"A": "b c", "D": "it's $5"}
    lines = [f"{k} = {v}\n" for k, v in submit_commands(kind, Path("/runs/my run"), "the-id", variables)]
    check_golden("submit_description", "".join(lines))


def test_jobs_get_files_and_send_outcomes_where_they_do_not_see_the_run_directory() -> None:
    kind = JobKind("kind0", ("a",), None, load("file_system=transfer").for_labels(["a"]))
    commands = dict(submit_commands(kind, Path("/runs/run"), "the-id", {}))
    assert {name: text for name, text in commands.items() if "transfer" in name} == {
        "transfer_executable": "False",
        "should_transfer_files": "YES",
        "transfer_input_files": "run.json, recipe.pickle, parts/$(part)/",
        "transfer_output_files": "outcomes",
        "when_to_transfer_output": "ON_EXIT_OR_EVICT",
    }


@settings(max_examples=100, deadline=None)
@given(drawn=random_graphs(), size=st.integers(1, 6), first=st.booleans())
def test_a_dag_says_who_waits_for_whom(drawn: tuple[dict, list], size: int, first: bool) -> None:
    text, nodes = text_of(*drawn, size, first=first)
    dag, names = read_dag(text), [node_name(node) for node in nodes]
    assert set(names) | dag.no_jobs | {"final"} | ({"first"} if first else set()) == set(dag.jobs)
    wanted = {(names[before], names[node.number]) for node in nodes for before in node.needs}
    roots = {("first", names[node.number]) for node in nodes if not node.needs} if first else set()
    assert wanted | roots <= without_joins(dag)
    kinds = {f"kind{number}" for number in range(len({node.labels for node in nodes}))}
    assert set(dag.jobs.values()) <= {f"{kind}.sub" for kind in (*kinds, "first", "final", "no_job")}
    assert ("ALL_NODES", "node", "$(JOB)") in dag.variables
    assert "CONFIG dagman.config" in dag.others
    (script,) = (line for line in dag.others if line.startswith("SCRIPT"))
    assert script.startswith("SCRIPT POST ALL_NODES /usr/bin/test ")


@pytest.mark.parametrize(
    ("job", "code", "dag_status", "goes_on"),
    [
        ("a-0", 0, 0, True),
        ("a-0", 1, 2, True),
        ("a-0", -9, 0, True),
        ("a-0", -1001, 0, False),
        ("a-0", 0, 4, False),
        ("a-0", 1, 4, False),
        ("first", 0, 0, True),
        ("first", 1, 0, False),
        ("first", 0, 4, False),
    ],
)
def test_what_has_ended_lets_others_begin_unless_the_run_is_being_removed(
    job: str, code: int, dag_status: int, goes_on: bool
) -> None:
    (line,) = (line for line in read_dag(text_of({"a": 1}, [], 1)[0]).others if line.startswith("SCRIPT"))
    words = line.split()[3:]
    values = {"$JOB": job, "$RETURN": str(code), "$DAG_STATUS": str(dag_status)}
    done = subprocess.run([values.get(word, word) for word in words], check=False)
    assert (done.returncode == 0) == goes_on


ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
SAYABLE = ANY.filter(lambda text: not re.search(r"[\n\r]|\$\$|\$\(DOLLAR\)", text, re.IGNORECASE))


@pytest.mark.slow
@given(label=ANY)
def test_whatever_a_label_is_a_node_has_a_plain_name(label: str) -> None:
    text, nodes = text_of({label: 2}, [], 1)
    dag = read_dag(text)
    assert {node_name(node) for node in nodes} | {"final"} == set(dag.jobs)
    assert re.fullmatch(r"[A-Za-z0-9_]+", plain_name(label))


def expanded(command: str, text: str) -> str:
    """Return what HTCondor takes the value of a submit command for."""
    return htcondor2.Submit(f"{command} = {text}\n").expand(command)


@given(words=st.lists(SAYABLE, min_size=1, max_size=4))
def test_arguments_come_out_as_they_went_in(words: list[str]) -> None:
    assert split_words(expanded("arguments", arguments(words))) == words


@given(variables=st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), SAYABLE, max_size=4))
def test_environment_variables_come_out_as_they_went_in(variables: dict[str, str]) -> None:
    assume(variables)
    words = split_words(expanded("environment", environment(variables)))
    assert dict(word.split("=", 1) for word in words) == variables


@given(text=SAYABLE.filter(bool))
def test_values_come_out_as_they_went_in(text: str) -> None:
    try:
        said = value(text, "it")
    except UsageError:
        assert text != text.strip() or text.endswith("\\")
    else:
        assert expanded("initialdir", said) == text


@given(text=SAYABLE)
def test_attributes_come_out_as_they_went_in(text: str) -> None:
    ad = f"It = {expanded('My.It', attribute(text))}\n"
    assert classad2.parseOne(ad, classad2.ParserType.Old)["It"] == text


@given(text=ANY.filter(lambda text: "\n" not in text))
def test_variables_of_nodes_come_out_as_they_went_in(text: str) -> None:
    assert (
        read_dag(f"VARS a b={vars_text(text)}").variables[0][2] == text
        or "\r" in text
        or text != text.strip()
    )


@pytest.mark.parametrize("text", ["a\nb", "a\0b", "$$(x)", "$(Dollar)", "a ", "a\\"])
def test_what_cannot_be_said_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the thing is"):
        value(text, "the thing")


def test_a_restart_says_what_is_done_and_what_needs_more_memory() -> None:
    assert list(retried(["a-0"], {"b-1": 4096})) == ["DONE a-0", 'VARS b-1 memory="4096"']


# Settings.


def load(*overrides: str, path: Path | None = None, labels: list[str] | None = None) -> CondorConfiguration:
    return CondorConfiguration.load(str(path) if path else None, overrides, labels)


def test_a_label_and_the_command_line_go_over_the_site_over_what_is_shipped(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("jobs: {request_cpus: 2, priority: 3}\nlabels: {isr: {request_cpus: 4}}\n")
    loaded = load("labels.isr.request_disk=5GB", "priority=7", path=site)
    isr, other = loaded.for_labels(["isr"]), loaded.for_labels(["other"])
    assert (isr.request_cpus, isr.request_disk, isr.priority) == (4, 5120, 7)
    assert (other.request_cpus, other.request_disk, other.priority) == (2, 1024, 7)
    assert loaded.for_node("final").universe == "local"


def test_a_job_of_several_tasks_takes_the_largest_requests() -> None:
    loaded = load("labels.a.request_memory=1GB", "labels.b.request_memory=900", "labels.b.request_cpus=3")
    both = loaded.for_labels(["a", "b"])
    assert (both.request_memory, both.request_cpus) == (1024, 3)


def test_numbers_may_be_what_they_can_mean() -> None:
    settings = load("priority=-5", "request_gpus=0", "memory_factor=1").for_labels(["isr"])
    assert (settings.priority, settings.request_gpus, settings.memory_factor) == (-5, 0, 1)


def test_a_file_of_a_site_may_have_labels_of_other_pipelines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("labels: {is: {request_cpus: 4}, coadd: {request_cpus: 2}}\n")
    assert load(path=site, labels=["isr"]).for_labels(["isr"]).request_cpus == 1
    (line,) = caplog.messages
    assert line.endswith("the graph has no task 'is': did you mean 'isr'?")


def test_free_settings_are_added_up() -> None:
    loaded = load('attributes.Project="x"', "labels.a.b.environment.V=1", "submit.nice_user=true")
    settings = loaded.for_labels(["a.b"])
    assert settings.attributes == {"Project": '"x"'}
    assert settings.environment == {"V": "1"}
    assert settings.submit == {"nice_user": "true"}


def test_the_example_of_the_guide_means_what_it_says() -> None:
    guide = (Path(__file__).parent.parent / "doc" / "guide" / "htcondor.md").read_text()
    (line,) = re.findall(r"^pipetask run .*--condor attributes.*$", guide, re.MULTILINE)
    words = shlex.split(line)
    settings = [after for word, after in pairwise(words) if word == "--condor"]
    kind = JobKind("k", ("isr",), None, load(*settings).for_labels(["isr"]))
    commands = dict(submit_commands(kind, Path("/run"), "id", {}))
    assert (commands["My.Project"], commands["request_cpus"]) == ('"x"', "2")
    assert commands["My.PipetaskMemory"] == "$(memory:4096)"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("request_memry=1", "setting 'request_memry' is unknown: did you mean 'request_memory'"),
        ("request_memory=lots", "request_memory cannot be 'lots'"),
        ("request_cpus=0", "request_cpus cannot be 0"),
        ("request_gpus=-1", "request_gpus cannot be -1"),
        ("memory_factor=0.5", "memory_factor cannot be 0.5"),
        ("memory_factor=.inf", "memory_factor cannot be inf"),
        ("universe=grid", "universe cannot be 'grid': choose one of vanilla, local, container"),
        ("labels.is.request_cpus=2", "label 'is' is unknown: did you mean 'isr'"),
        ("labels.other.request_cpus=2", "label 'other' is unknown: there are isr"),
        ("labels.isr=2", "label 'isr' has no settings"),
        ("dagman.max_idl=2", "did you mean 'max_idle'"),
        ("nodes.frist.universe=local", "node 'frist' is unknown: did you mean 'first'"),
        ("nodes.final.file_system=transfer", "the final job needs all of the run directory"),
        ("request_cpus", "not of the form KEY=VALUE"),
    ],
)
def test_what_means_nothing_is_refused(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        load(override, labels=["isr"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "attributes.+Project=1",
            "attribute '+Project': a name has letters, .* neither + nor My. before it.",
        ),
        ("attributes.My.Project=1", "attribute 'My.Project': a name has letters, "),
        ("attributes.my project=1", "attribute 'my project': a name has letters, "),
        (
            "attributes.Project=wide field",
            "attribute Project is 'wide field', which is no ClassAd expression: ",
        ),
        ("attributes.Project=", "attribute Project is '', which is no ClassAd expression: "),
        ("submit.queue=2", "submit command 'queue': it would end or part the description"),
        ("submit.Endif=", "submit command 'Endif': it would end or part the description"),
        ("submit.a b=2", "submit command 'a b': a name has letters, digits and underscores only."),
    ],
)
def test_a_name_or_an_expression_that_htcondor_does_not_take_is_refused(override: str, message: str) -> None:
    kind = JobKind("k", ("a",), None, load(override).for_labels(["a"]))
    with pytest.raises(UsageError, match=re.escape(message).replace(r"\.\*", ".*")):
        dict(submit_commands(kind, Path("/run"), "id", {}))


@given(text=SAYABLE)
def test_an_expression_is_taken_as_htcondor_reads_it(text: str) -> None:
    assume(text == text.strip() and not text.endswith("\\"))
    quoted = '"' + text.replace('"', '\\"') + '"'
    name, said = expression("It", quoted)
    ad = classad2.parseOne(f"It = {expanded(name, said)}\n", classad2.ParserType.Old)
    assert ad["It"] == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("job: {}", "section 'job' is unknown: did you mean 'jobs'"),
        ("[1]", "has no sections"),
        ("{", "cannot be read"),
        ("jobs: 3", "has no settings"),
        ("labels: {a: 3}", "label 'a' has no settings"),
    ],
)
def test_a_file_that_means_nothing_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "site.yaml").write_text(content)
    with pytest.raises(UsageError, match=message):
        load(path=tmp_path / "site.yaml")


def test_what_is_written_down_of_a_run_can_be_read_again(tmp_path: Path) -> None:
    loaded = load("labels.isr.request_memory=3GB", "attributes.X=1", "dagman.max_idle=3")
    (tmp_path / "condor.yaml").write_text(loaded.dump())
    assert load(path=tmp_path / "condor.yaml") == loaded


@pytest.mark.parametrize(
    ("text", "number"),
    [("2000", 2000), (2000, 2000), ("2GB", 2048), ("1.5 GiB", 1536), ("100K", 1), ("1T", 2**20)],
)
def test_sizes(text: object, number: int) -> None:
    assert megabytes(text) == number


def test_variables_are_passed_on_by_name_and_pattern() -> None:
    settings = load("pass_environment=[PATH, LSST_*]", "environment.MINE=x").for_labels(["a"])
    environ = {"PATH": "/bin", "LSST_A": "1", "SECRET": "s"}
    assert environment_for(settings, environ) == {"PATH": "/bin", "LSST_A": "1", "MINE": "x"}


SMALL, LARGE = Slot("small", 8, 1024, 9000), Slot("large", 1, 8192, 9000, 2)


def test_a_request_that_some_slot_can_satisfy_is_taken() -> None:
    settings = load("request_memory=4GB", "request_gpus=2").for_labels(["a"])
    check_requests([("a", settings)], [SMALL, LARGE])
    check_requests([("a", settings)], [])
    check_requests([("final", load("request_cpus=99").for_node("final"))], [SMALL])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["request_memory=9GB"],
            "9216 MB of memory, and the largest slot of the pool, large, has 8192 MB of",
        ),
        (["request_disk=9TB"], "9437184 MB of disk, and the largest slot of the pool, small, has 9000 MB of"),
        (
            ["request_gpus=3"],
            "3 GPUs, and the largest slot of the pool, large, has 2 GPUs: lower request_gpus (",
        ),
        (["request_cpus=9", "request_gpus=3"], "9 CPUs, 3 GPUs, and .* lower request_cpus or request_gpus"),
        (
            ["request_cpus=2", "request_gpus=1"],
            "2 CPUs, .*, 1 GPUs together, and .* small, has 8 CPUs, .*, 0 GPUs",
        ),
    ],
)
def test_a_request_that_no_slot_can_satisfy_is_refused(overrides: list[str], message: str) -> None:
    settings = load("request_memory=1GB", *overrides).for_labels(["a"])
    with pytest.raises(PipetaskError, match=f"Jobs of a ask for {message.replace('(', '[(]')}"):
        check_requests([("a", settings)], [SMALL, LARGE])


def test_what_the_access_point_runs_needs_no_machine() -> None:
    loaded = load("request_gpus=1", "requirements=TARGET.Fast", "container_image=/image.sif")
    asked = [
        dict(submit_commands(JobKind("k", labels, None, settings), Path("/run"), "id", {}))
        for labels, settings in [(("a",), loaded.for_labels(["a"])), ((), loaded.for_node("final"))]
    ]
    names = {"request_gpus", "requirements", "container_image", "transfer_container"}
    assert [names & set(commands) for commands in asked] == [names, set()]
