"""What ``--show`` writes of configuration, and of quantum graphs, next to what LSST's command writes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline, PipelineGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

import pipetask.cli.build  # noqa: F401  imported before the forks
from forked import run_forked
from peer import peer_session
from pipetask.errors import UsageError
from pipetask.graph.components import read_graph
from pipetask.options.pipeline import GRAPH_ITEMS, PIPELINE_ITEMS
from pipetask.pipeline.show import ShowRequest
from pipetask.pipeline.show_config import show_config, show_history
from pipetask.pipeline.show_graph import show_graph
from pipetask.testing import MockPipeline

from conftest import Finished  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

Session = Callable[..., Finished]


@pytest.fixture(scope="module")
def peer() -> Iterator[Session]:
    with peer_session() as run:
        yield run


# What is asked for.


def test_items_keep_their_order() -> None:
    request = ShowRequest.parse(["tasks", "graph", "config=a::b", "uri", "config", "history=x=y"])
    assert request.pipeline_items == (("tasks", ""), ("config", "a::b"), ("config", ""), ("history", "x=y"))
    assert request.graph_items == (("graph", ""), ("uri", ""))


@pytest.mark.parametrize("item", [*PIPELINE_ITEMS, *GRAPH_ITEMS])
def test_what_items_need(item: str) -> None:
    request = ShowRequest.parse([f"{item}=x" if item == "history" else item])
    assert request.needs_pipeline_graph is (item not in ("pipeline", "subsets", *GRAPH_ITEMS))


REFUSED = {
    "unknown": ("task", "did you mean 'tasks'?"),
    "like nothing": ("xyz", "there are pipeline, "),
    "with an option's dashes": ("--tasks", "did you mean 'tasks'?"),
    "a value that means nothing": ("tasks=isr", "tasks takes no value"),
    "history of what": ("history", "history=LABEL::PATTERN"),
    "history of a task": ("history=flatten::", "history=LABEL::PATTERN"),
    "of a quantum graph": ("workflow", "pipetask qgraph"),
    "configuration of a task": ("config=flaten::*", "did you mean 'flatten'?"),
    "configuration of a class": ("dump-config=FlatenTask", "did you mean 'FlattenTask'?"),
    "history of a task that is not there": ("history=flaten::scale", "did you mean 'flatten'?"),
    "history of a field that is not there": ("history=scales", "did you mean 'scale'?"),
    "history of a subtask": ("history=measure::match", "no task has such a field"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused(name: str) -> None:
    item, message = REFUSED[name]
    tasks = ["-t", "pipeline_tasks.FlattenTask", "-t", "pipeline_tasks.MeasureTask"]
    finished = run_forked("build", *tasks, "--show", item)
    assert (finished.code, finished.out) == (2, "")
    line = finished.line
    assert message in line


def test_a_comma_in_brackets_belongs_to_the_pattern() -> None:
    item = "config=*[tx,d].order,tasks"
    finished = run_forked("build", "-t", "pipeline_tasks.MeasureTask", "--show", item)
    assert finished.code == 0, finished.err
    shown = re.findall("^config.*=|^### Sub", finished.out, re.MULTILINE)
    assert shown == ["config.match.fit.order=", "config.background.order=", "### Sub"]


# Configuration.


@pytest.fixture(scope="module")
def graph() -> PipelineGraph:
    pipeline = Pipeline("all kinds of fields")
    pipeline.addTask("pipeline_tasks.FlattenTask", "flatten")
    pipeline.addTask("pipeline_tasks.MeasureTask", "measure")
    pipeline.addConfigOverride("measure", "match.Radius", "2.5")
    pipeline.addConfigOverride("measure", "algorithm", "el.lipse")
    pipeline.addConfigPython("measure", "config.algorithm['el.lipse'].axes = [7.0]")
    pipeline.addConfigOverride("measure", "flags", "{'x': 1}")
    return pipeline.to_graph()


def written(show: Callable[..., None], graph: PipelineGraph, text: str) -> str:
    out = io.StringIO()
    show(graph, text, out)
    return out.getvalue()


def test_all_configuration_is_shown(graph: PipelineGraph) -> None:
    text = written(show_config, graph, "measure::")
    config = graph.tasks["measure"].config
    assert re.findall(r"^config\.([^=]+)=", text, re.MULTILINE) == config.names()
    assert "# Radius, in\n# arc seconds.\nconfig.match.Radius=2.5\n" in text


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("Radius", ["algorithm['circle'].radius", "match.Radius", "more['circle'].radius"]),
        ("Radius:NOIGNORECASE", ["match.Radius"]),
        ("config.match.*", ["match.Radius", "match.fit.method", "match.fit.order"]),
        ("flags", ["flags"]),
        ("fix", ["connections.prefix"]),
        ("a=b", []),
        ("*[", []),
    ],
)
def test_patterns_choose_fields(graph: PipelineGraph, pattern: str, names: list[str]) -> None:
    text = written(show_config, graph, f"measure::{pattern}")
    shown = re.findall(r"^config\.([^=]+)=", text, re.MULTILINE)
    assert sorted(shown) == names
    assert ("without regard to case" in text) is (pattern == "Radius")


HISTORY = ["*Radius", "measure::config.match.fit.order", "MeasureTask::match*", "*.order", "flatten::scale"]


@pytest.mark.parametrize("text", HISTORY)
def test_history_as_lssts_command_has_it(text: str, peer: Session) -> None:
    edits = [
        "-t",
        "pipeline_tasks.FlattenTask",
        "-t",
        "pipeline_tasks.MeasureTask",
        "-c",
        "measure:match.Radius=2",
    ]
    ours, theirs = (run("build", *edits, "--show", f"history={text}") for run in (run_forked, peer))
    assert ours.code == theirs.code == 0, ours.err
    assert without_places(ours.out) == without_places(theirs.err)
    assert "### Configuration field for task `" in ours.out


def without_places(text: str) -> list[str]:
    """Return headings, names, and each value with the code that set it; the way there differs between commands."""
    lines = [line for line in text.splitlines() if re.match(r"(###|\S+$|\S+ +/)", line) or "setattr" in line]
    return [re.sub(r" +/\S+ +.*", " /", line) for line in lines]


def test_history_tells_what_set_a_field(graph: PipelineGraph) -> None:
    first, second = [
        line for line in written(show_history, graph, "match.Radius").splitlines() if re.match("[0-9]", line)
    ][-2:]
    assert first.startswith("1.5 ")
    assert second.startswith("2.5 ")
    text = written(show_history, graph, "*Radius")
    assert "setattr(tmpConfig, finalField, value)" in text
    assert "test_show.py" not in text, "how this program came there is of no interest"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("flags", ["{'a=b': 1}", "{'x': 1}"]),
        ("algorithm['el.lipse'].axes", ["[4.0, 3.0]", "[7.0]"]),
        ("algorithm.name", ["circle", "el.lipse"]),
        ("more.names", ["['circle']"]),
        ("stages['2.nd'].order", ["2"]),
        ("background.method", ["robust"]),
        ("saveLogOutput", ["True"]),
    ],
)
def test_fields_that_lssts_command_cannot_tell_of(graph: PipelineGraph, name: str, values: list[str]) -> None:
    """It stumbles over lists, dictionaries, choices, and names with a dot in a key, and calls True 1."""
    text = written(show_history, graph, f"measure::{name.replace('[', '[[]')}")
    assert [value for value in values if re.search(rf"^{re.escape(value)} +/", text, re.MULTILINE)] == values


def test_every_field_has_a_history(graph: PipelineGraph) -> None:
    text = written(show_history, graph, "measure::*")
    config = graph.tasks["measure"].config
    fields = [name for name in config.names() if not re.fullmatch(r"stages\['[^.]+.*'\]", name)]
    assert text.count("### Configuration field") == len(fields)


# Quantum graphs.


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository that has the types of all datasets, which is what LSST's command needs to tell of places."""
    root = tmp_path_factory.mktemp("shown") / "repo"
    MockPipeline().make(root)
    with Butler.from_config(str(root), writeable=True) as butler:
        graph_of(root).pipeline_graph.register_dataset_types(butler)
    return root


def graph_of(root: Path) -> PredictedQuantumGraph:
    return read_graph(str(root / "graph.qg")).assemble()


def shown(root: Path, item: str) -> str:
    out = io.StringIO()
    show_graph(ShowRequest.parse([item]), graph_of(root), str(root), out)
    return out.getvalue()


@pytest.mark.parametrize("item", GRAPH_ITEMS)
def test_quantum_graphs_as_lssts_command_shows_them(item: str, root: Path, peer: Session) -> None:
    arguments = ["qgraph", "-b", str(root), "-g", str(root / "graph.qg"), "--show", item]
    theirs = peer("--log-level", "ERROR", *arguments)
    assert theirs.code == 0, theirs.err
    assert theirs.err.count("Quantum") >= 10
    assert shown(root, item) == theirs.err


@pytest.mark.slow
def test_graphs_show_datastore_records(root: Path) -> None:
    assert shown(root, "graph").count("file_datastore_records") == 4


@pytest.mark.slow
def test_places_are_told_before_types_are_registered(tmp_path: Path) -> None:
    MockPipeline(exposures=1, detectors=1).make(tmp_path / "repo")
    text = shown(tmp_path / "repo", "uri")
    assert len(re.findall(r"repo/u/out/run/\S+#predicted$", text, re.MULTILINE)) == 11
    assert len(re.findall(r"repo/input_run/raw/\S+\.json$", text, re.MULTILINE)) == 1


def test_places_need_a_repository(root: Path) -> None:
    with pytest.raises(UsageError, match="-b"):
        show_graph(ShowRequest.parse(["uri"]), graph_of(root), None, io.StringIO())
