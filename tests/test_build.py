"""`pipetask build` writes, draws and shows what LSST's command does, and says plainly what is wrong."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from lsst.daf.butler import Butler, DatasetType
from lsst.pipe.base import Pipeline

import pipetask.cli.build
import pipetask.pipeline.draw
import pipetask.pipeline.show_graph  # noqa: F401  imported before the forks
from forked import run_forked
from peer import find_peer, peer_session, run_peer
from pipetask.errors import PipetaskError, UsageError
from pipetask.options.edits import DeleteTask
from pipetask.options.pipeline import PipelineOptions
from pipetask.pipeline.build import build_pipeline
from pipetask.pipeline.editing import edit_pipeline

from conftest import Finished, run_pipetask  # isort: skip

PLAIN = """\
description: A pipeline to look at — übersichtlich
parameters:
  radius: 2.5
tasks:
  flatten:
    class: pipeline_tasks.FlattenTask
    config:
      name: "some text"
  measure:
    class: pipeline_tasks.MeasureTask
    config:
      - match.Radius: parameters.radius
      - python: |
          config.more.names = ["circle", "el.lipse"]
          config.more["el.lipse"].axes = [1.0]
          from pipeline_tasks import OtherFitTask
          config.match.fit.retarget(OtherFitTask)
  summarize: pipeline_tasks.SummarizeTask
"""
STEPS = """\
description: The same, in steps
instrument: pipeline_tasks.Camera
imports: plain.yaml
subsets:
  night: {subset: [flatten, measure], description: For each night}
  all: [flatten, measure, summarize]
  end: [summarize]
steps:
  - {label: night, dimensions: [visit, detector]}
  - {label: end, dimensions: [visit]}
contracts:
  - {contract: measure.background.order < 9, msg: too high}
"""
FILES = {
    "plain.yaml": PLAIN,
    "steps.yaml": STEPS,
    "scale.py": "config.scale = 7.0\nconfig.name = 'from a file'\n",
    "flags.py": "config.flags['c'] = 3\n",
    "misspelt.py": "config.doFalt = True\n",
    "syntax.py": "config.doFlat =\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make pipelines, configuration files, and a repository that knows one dataset type; work there."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name, content in FILES.items():
        (folder / name).write_text(content)
    Butler.makeRepo(str(folder / "repo"))
    with Butler.from_config(str(folder / "repo"), writeable=True) as butler:
        dimensions = butler.dimensions.conform(["visit", "detector"])
        butler.registry.registerDatasetType(DatasetType("picture", dimensions, "VisitImage"))
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def peer(folder: Path) -> Iterator[Callable[..., Finished]]:
    with peer_session() as run:
        yield run


# Side by side with LSST's command.  What is written goes into the folder OUT.

SHOWN = [
    "pipeline",
    "subsets",
    "tasks",
    "inputs",
    "pipeline-graph",
    "task-graph",
    "config",
    "config=*order*",
    "config=measure::",
    "config=measure::*RADIUS",
    "config=measure::*RADIUS:NOIGNORECASE",
    "config=MeasureTask::config.match*",
    "config=radius",
    "config=kernel",
    "config=nothing*",
    "config=*[tx,d].order",
    "dump-config",
    "dump-config=flatten",
    "dump-config=SummarizeTask",
]
SAME = {
    **{f"show {item}": f"-p steps.yaml --show '{item}'" for item in SHOWN},
    "show with a repository": "-p plain.yaml -b repo -c flatten:connections.raw=picture.aperture_corrections "
    "--show pipeline-graph",
    "show without it": "-p plain.yaml -c flatten:connections.raw=picture.aperture_corrections --show pipeline-graph",
    "draw": "-p steps.yaml --pipeline-dot OUT/p.dot --pipeline-mermaid OUT/p.mmd",
    "draw with a repository": "-p plain.yaml -b repo -c flatten:connections.raw=picture.aperture_corrections "
    "--pipeline-dot OUT/p.dot --pipeline-mermaid OUT/p.text",
    "write": "-p steps.yaml -s OUT/p.yaml",
    "write and show": "-p plain.yaml -s OUT/p.yaml --show tasks,inputs",
    "tasks that are added": "-t pipeline_tasks.FlattenTask -t pipeline_tasks.MeasureTask:m -s OUT/p.yaml --show tasks",
    "no label is too odd": "-t pipeline_tasks.FlattenTask:ä:b -s OUT/p.yaml",
    "later values win": "-p plain.yaml -c flatten:scale=3 -c flatten:scale=4 -s OUT/p.yaml --show config=scale",
    "value after file": "-p plain.yaml -C flatten:scale.py -c flatten:scale=4 -s OUT/p.yaml --show config=flatten::",
    "file after value": "-p plain.yaml -c flatten:scale=4 -C flatten:scale.py -s OUT/p.yaml --show config=flatten::",
    "two files": "-p plain.yaml -C flatten:scale.py,measure:flags.py --show config",
    "a task that replaces": "-p plain.yaml -t pipeline_tasks.FlattenTask:measure -c measure:scale=2 -s OUT/p.yaml",
    "deleted and added": "-p plain.yaml --delete measure -t pipeline_tasks.MeasureTask -s OUT/p.yaml --show config",
    "an instrument": "-p plain.yaml --instrument pipeline_tasks.Camera -s OUT/p.yaml --show config=flatten::scale",
    "a parameter": "-p plain.yaml -c parameters:radius=4.5 -c parameters:new=x -s OUT/p.yaml --show config=*Radius",
    "values of all kinds": "-p plain.yaml -c \"measure:flags={'x': 1}\" -c summarize:quantiles=[0.1,0.9] "
    "-c flatten:name=b:c -c flatten:doFlat=False -c measure:algorithm=el.lipse -c measure:background.order=-0 "
    "-s OUT/p.yaml --show config",
    "tasks of a file": "-p plain.yaml#flatten,measure -s OUT/p.yaml --show tasks",
    "a range of a file": "-p plain.yaml#measure.. -s OUT/p.yaml --show tasks",
    "a subset of a file": "-p steps.yaml#night -s OUT/p.yaml --show inputs",
    "select": "-p steps.yaml --select-tasks 'night & ~<measure | summary' --show pipeline-graph",
    "select and draw": "-p steps.yaml --select-tasks '>sources' --pipeline-dot OUT/p.dot",
}


@pytest.mark.parametrize("name", SAME)
def test_as_lssts_command(name: str, folder: Path, peer: Callable[..., Finished], tmp_path: Path) -> None:
    ours, theirs = (
        run_into(tmp_path / who, run, SAME[name]) for who, run in (("us", run_forked), ("peer", peer))
    )
    assert ours[0].err == ""
    assert ours[0].code == theirs[0].code == 0
    assert in_any_order(ours[0].out) == in_any_order(theirs[0].err)  # the session has one stream for both
    assert ours[1] == theirs[1]
    assert ours[0].out or ours[1], "there is something to compare"


def run_into(out: Path, run: Callable[..., Finished], words: str) -> tuple[Finished, dict[str, str]]:
    out.mkdir()
    finished = run("build", *shlex.split(words.replace("OUT", str(out))))
    return finished, {path.name: in_any_order(path.read_text()) for path in out.iterdir()}


def in_any_order(text: str) -> str:
    """Sort the tasks of subsets, and items that are shown: LSST's command has them in the order of a set."""
    text = re.sub(
        r"(?<=subset:\n)(    - .*\n)+", lambda found: "".join(sorted(found[0].splitlines(True))), text
    )
    if text.startswith(("### Subtasks", "raw {", "flat {")):
        return "\n".join(sorted(text.splitlines()))
    return text


@pytest.mark.peer
def test_yaml_is_the_same_to_the_byte(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_peer()
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    assert run_pipetask("build", "-p", "steps.yaml", "-s", str(tmp_path / "ours")).code == 0
    assert run_peer("build", "-p", "steps.yaml", "-s", str(tmp_path / "theirs")).code == 0
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


# What we do better.


@pytest.mark.parametrize("spelling", ["-tpipeline_tasks.FlattenTask", "--task=pipeline_tasks.FlattenTask"])
def test_options_can_be_spelt_as_in_any_command(spelling: str, folder: Path) -> None:
    finished = run_forked("build", spelling, "-c", "flatten:doFlat=False", "--show", "pipeline")
    assert finished.code == 0, finished.err
    assert yaml.safe_load(finished.out)["tasks"] == {
        "flatten": {"class": "pipeline_tasks.FlattenTask", "config": [{"doFlat": "False"}]}
    }


def test_a_value_may_have_any_text(folder: Path) -> None:
    """LSST's command wants no second sign of equality, and takes what is before the last colon as the label."""
    value = "s3://bucket/a=b:c,d"
    finished = run_forked("build", "-p", "plain.yaml", "-c", f"flatten:name={value}", "--show", "config=name")
    assert f"config.name={value!r}" in finished.out


def test_edits_of_a_file_come_before_those_of_the_command_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("build: {pipeline: plain.yaml, config: 'flatten:scale=3'}\n")
    more = ["-@", str(tmp_path / "more.yaml"), "-c", "flatten:scale=4", "--show", "config=flatten::scale"]
    assert "config.scale=4.0" in run_forked("build", *more).out


@pytest.mark.parametrize("label", ["flatten", "measure", "summarize"])
def test_a_deleted_task_is_gone_from_subsets_and_contracts(label: str, folder: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "p.yaml")
    finished = run_forked("build", "-p", "steps.yaml", "--delete", label, "-s", path, "--show", "task-graph")
    assert finished.code == 0, finished.err
    assert label not in finished.out
    again = run_forked("build", "-p", path, "--show", "task-graph")
    assert (again.code, again.out) == (0, finished.out)
    left = Pipeline.from_uri(path)
    assert left.subsets["all"] == left.task_labels == {"flatten", "measure", "summarize"} - {label}
    assert ("contract" in Path(path).read_text()) is (label != "measure")


def test_all_tasks_can_be_deleted(folder: Path) -> None:
    start = Pipeline.from_uri("steps.yaml")
    left = edit_pipeline(start, [DeleteTask(label) for label in sorted(start.task_labels)])
    assert len(left) == 0
    assert len(start) == 3, "the pipeline itself stays as it is"
    assert set().union(*left.subsets.values()) == set()


def test_several_labels_are_deleted(folder: Path) -> None:
    finished = run_forked("build", "-p", "plain.yaml", "--delete", "measure,summarize", "--show", "pipeline")
    assert list(yaml.safe_load(finished.out)["tasks"]) == ["flatten"]


def test_a_repository_that_nothing_needs_does_no_harm(folder: Path) -> None:
    """It may come from the profile file."""
    finished = run_forked("build", "-p", "plain.yaml", "-b", "no-such-repo", "--show", "pipeline")
    assert finished.code == 0, finished.err


@pytest.mark.parametrize("item", ["inputs", "config=name"])
def test_all_items_heed_the_repository(item: str, folder: Path) -> None:
    raw = ["-c", "flatten:connections.raw=picture.aperture_corrections"]
    finished = run_forked("build", "-p", "plain.yaml", *raw, "-b", "repo", "--show", item)
    assert finished.code == 0, finished.err
    if item == "inputs":
        assert (
            "picture {band, instrument, day_obs, detector, physical_filter, visit} VisitImage\n"
            in finished.out
        )
    assert run_forked("build", "-p", "plain.yaml", *raw, "-b", "no-such-repo", "--show", item).code == 1


def test_without_anything_to_write_the_pipeline_is_checked(folder: Path) -> None:
    assert run_forked("build", "-p", "steps.yaml").code == 0
    assert run_forked("build", "-p", "steps.yaml", "-c", "flatten:scale=x").code == 2


def test_without_need_no_task_is_imported(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    assert run_forked("build", "-t", "not_here.Task:a", "-s", str(path), "--show", "pipeline").code == 0
    assert "not_here.Task" in path.read_text()


def test_a_name_of_a_file_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "50%#flatten?.yaml"
    assert run_forked("build", "-p", "plain.yaml", "-s", str(path)).code == 0
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_a_uri_is_written(folder: Path, tmp_path: Path) -> None:
    uri = (tmp_path / "p.yaml").as_uri()
    assert run_forked("build", "-p", "plain.yaml", "-s", uri).code == 0
    assert Pipeline.from_uri(uri).task_labels == {"flatten", "measure", "summarize"}


# What is wrong.  The output files must not be there afterwards.

WRITES = "-s OUT/p.yaml --pipeline-dot OUT/p.dot --pipeline-mermaid OUT/p.mmd --show pipeline"
LONG = "x" * 5000

REFUSED: dict[str, tuple[str, int, str]] = {
    # file
    "no pipeline": ("", 2, "-p"),
    "no such file": ("-p nosuch.yaml", 2, "no pipeline file nosuch.yaml"),
    "a folder": ("-p .", 2, ". is no file"),
    "an empty name": ("-p '' -t x", 2, "x"),
    "older way to name tasks": ("-p plain.yaml:flatten", 2, "FILE#LABEL"),
    "a task that the file lacks": ("-p plain.yaml#flaten", 2, "'flaten': did you mean 'flatten'?"),
    "a range with an end that the file lacks": (
        "-p plain.yaml#flatten..sumarize",
        2,
        "did you mean 'summarize'?",
    ),
    "a subset that the file lacks": ("-p steps.yaml#nigth", 2, "did you mean 'night'?"),
    "two ranges": ("-p plain.yaml#a..b..c", 2, "'a'"),
    "no YAML": ("-p syntax.py", 1, "syntax.py"),
    # edits
    "task that does not import": ("-t not_here.Task", 2, "-t not_here.Task: "),
    "task that is none": ("-t os.path.join", 2, "-t os.path.join: "),
    "task that does not import, with a label": (
        "-p plain.yaml -t not_here.Task:a",
        2,
        "-t not_here.Task:a: ",
    ),
    "task without a name": ("-p plain.yaml -t :a", 2, "TASK:LABEL"),
    "label to delete": (
        "-p plain.yaml --delete flaten",
        2,
        "--delete flaten: the pipeline has no task 'flaten': did",
    ),
    "label that is deleted": ("-p plain.yaml --delete measure -c measure:x=1", 2, "no task 'measure'"),
    "label in other case": ("-p plain.yaml --delete Flatten", 2, "did you mean 'flatten'?"),
    "label of a value": ("-p plain.yaml -c flaten:scale=1", 2, "did you mean 'flatten'?"),
    "label of a file": ("-p plain.yaml -C flaten:scale.py", 2, "did you mean 'flatten'?"),
    "file for the parameters": ("-p plain.yaml -C parameters:scale.py", 2, "no task 'parameters'"),
    "value without a name": ("-p plain.yaml -c flatten:3", 2, "LABEL:NAME=VALUE"),
    "file without a label": ("-p plain.yaml -C scale.py", 2, "LABEL:FILE"),
    "field": ("-p plain.yaml -c flatten:doFalt=True", 2, "doFalt: did you mean 'doFlat'?"),
    "field of a field": ("-p plain.yaml -c measure:mach.Radius=1", 2, "did you mean 'match.Radius'?"),
    "value": ("-p plain.yaml -c flatten:doFlat=maybe", 2, "-c flatten:doFlat=maybe: Field 'doFlat' failed"),
    "value out of range": ("-p plain.yaml -c measure:background.order=11", 2, "[0,9)"),
    "value that is no choice": ("-p plain.yaml -c measure:background.method=x", 2, "'background.method'"),
    "values that contradict": (
        "-p plain.yaml -c measure:background.order=8",
        2,
        "the background's order is too high",
    ),
    "one bad edit of several": (
        "-p plain.yaml -c flatten:scale=2 -c measure:match.Radius=wide -C flatten:scale.py",
        2,
        "-c measure:match.Radius=wide: ",
    ),
    "a bad edit after two that are good only together": (
        "-p plain.yaml -c measure:background.order=8 -c measure:match.fit.order=4 -c measure:match.Radius=wide",
        2,
        "-c measure:match.Radius=wide: ",
    ),
    "configuration file that is not there": ("-p plain.yaml -C flatten:nosuch.py", 2, "there is no file"),
    "configuration file that misspells": ("-p plain.yaml -C flatten:misspelt.py", 1, "no attribute doFalt"),
    "configuration file that is no Python": ("-p plain.yaml -C flatten:syntax.py", 1, "invalid syntax"),
    "instrument": ("-p plain.yaml --instrument not_here.Camera", 2, "--instrument not_here.Camera: "),
    "contract": (
        "-p steps.yaml -c measure:match.fit.order=8 -c measure:background.order=8 -c x:y=1",
        2,
        "'x'",
    ),
    # select
    "selected task": ("-p plain.yaml --select-tasks 'flaten | measure'", 2, "did you mean"),
    "expression": ("-p plain.yaml --select-tasks 'flatten |'", 2, "--select-tasks 'flatten |'"),
    # repository
    "repository": ("-p plain.yaml -b nosuch", 1, "nosuch"),
    # strange text
    "globs": ("-p '*.yaml'", 2, "*.yaml"),
    "quotes": ('-p plain.yaml -c "flatten:na\'me\\"=x"', 2, "na'me"),
    "newlines": ("-p plain.yaml --delete 'a\nb'", 2, "no task"),
    "a way up": ("-p ../../../nosuch/p.yaml", 2, "no pipeline file"),
    "not in this alphabet": ("-p plain.yaml --delete ☃", 2, "'☃'"),
    "very long": (f"-p plain.yaml --delete {LONG}", 2, LONG),
    "code": ('-p plain.yaml -c \'flatten:scale=__import__("os").mkdir("hacked")\'', 2, "failed validation"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said_in_a_line(name: str, folder: Path, tmp_path: Path) -> None:
    words, code, message = REFUSED[name]
    writes = "" if name == "no pipeline" or "select" in words else WRITES.replace("OUT", str(tmp_path))
    before = sorted(folder.iterdir())
    finished = run_forked("build", *shlex.split(words), *shlex.split(writes))
    assert finished.code == code, finished.err
    line = finished.line
    assert line.startswith("pipetask")
    assert message in line
    assert list(tmp_path.iterdir()) == []
    assert sorted(folder.iterdir()) == before


BROKEN: dict[str, tuple[str, str]] = {
    "empty": ("", "form of a pipeline"),
    "prose": ("Dear diary,", "description"),
    "open bracket": ("tasks: [", "is not YAML (while parsing"),
    "no text": ("\0", "is not YAML"),
    "no tasks": ("description: x", "tasks"),
    "no class": ("description: x\ntasks: {a: {config: {x: 1}}}", "has no 'class'"),
    "a task twice": ("description: x\ntasks:\n  a: b.C\n  a: b.D", "duplicated"),
    "import that is not there": ("description: x\nimports: nosuch.yaml", "nosuch.yaml"),
    "subset of nothing": ("description: x\ntasks: {a: b.C}\nsubsets: {s: [b]}", "'b'"),
    "task that does not import": ("description: x\ntasks: {a: not_here.Task}", "Task 'a': Unable to import"),
    "field": (
        "description: x\ntasks: {a: {class: pipeline_tasks.FlattenTask, config: {doFalt: 1}}}",
        "Task 'a': pipeline_tasks.FlattenConfig has no attribute doFalt: did you mean 'doFlat'?",
    ),
    "value": (
        "description: x\ntasks: {a: {class: pipeline_tasks.FlattenTask, config: {doFlat: maybe}}}",
        "Task 'a': Field 'doFlat' failed validation",
    ),
    "two that write the same": (
        "description: x\ntasks: {a: pipeline_tasks.FlattenTask, b: pipeline_tasks.FlattenTask}",
        "do not fit together: Dataset type 'image'",
    ),
    "contract": (
        "description: x\ntasks: {a: pipeline_tasks.FlattenTask}\ncontracts: [a.scale > 7]",
        "'a.scale > 7' were not satisfied",
    ),
    "steps": (
        "description: x\ntasks: {a: pipeline_tasks.FlattenTask}\nsubsets: {s: []}\nsteps: [{label: s, dimensions: []}]",
        "No step contains",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(name: str, folder: Path, tmp_path: Path) -> None:
    content, message = BROKEN[name]
    (tmp_path / "p.yaml").write_text(content)
    with pytest.raises(PipetaskError) as raised:
        build_pipeline(PipelineOptions(pipeline=str(tmp_path / "p.yaml"))).graph()
    assert not isinstance(raised.value, UsageError)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(find_spec("mermaid") is not None, reason="the package mermaid-py is installed")
def test_what_cannot_be_drawn_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    files = ["--pipeline-dot", str(tmp_path / "p.dot"), "--pipeline-mermaid", str(tmp_path / "p.svg")]
    finished = run_forked("build", "-p", "plain.yaml", *files, "-s", str(tmp_path / "p.yaml"))
    assert finished.code == 1
    assert "mermaid-py" in finished.err
    assert list(tmp_path.iterdir()) == []


RENDERER = """
from types import SimpleNamespace

class Mermaid:
    def __init__(self, graph, width, height, scale):
        assert graph.script.startswith("flowchart TD")
        self.svg_response = SimpleNamespace(content=b"<svg width='%d'>" % width)

    @property
    def img_response(self):
        raise ConnectionError("no route to the service")
"""


@pytest.mark.slow
def test_pictures_are_rendered_by_what_pipe_base_uses(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real renderer asks a service on the network."""
    package = tmp_path / "mermaid"
    package.mkdir()
    (package / "__init__.py").write_text(RENDERER)
    (package / "graph.py").write_text("from types import SimpleNamespace\nGraph = SimpleNamespace\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    draw = ["build", "-p", "plain.yaml", "--pipeline-mermaid"]
    assert run_pipetask(*draw, str(tmp_path / "p.svg")).code == 0
    assert (tmp_path / "p.svg").read_bytes() == b"<svg width='4500'>"
    failed = run_pipetask(*draw, str(tmp_path / "p.png"))
    assert failed.code == 1
    assert "p.png: it could not be rendered: no route to the service" in failed.err
    assert not (tmp_path / "p.png").exists()


@pytest.mark.parametrize("more", ["-s OUT/p.yaml", "--show pipeline", "--show subsets"])
def test_selected_tasks_are_no_yaml(more: str, folder: Path, tmp_path: Path) -> None:
    words = shlex.split(more.replace("OUT", str(tmp_path)))
    finished = run_forked("build", "-p", "plain.yaml", "--select-tasks", "flatten", *words)
    assert finished.code == 2
    assert "--select-tasks" in finished.err
    assert "FILE#LABEL" in finished.err
    assert list(tmp_path.iterdir()) == []


def test_graphs_are_made_anew(folder: Path) -> None:
    """One is resolved for show, another for building quantum graphs."""
    source = build_pipeline(PipelineOptions(pipeline="plain.yaml"))
    assert source.graph(for_display=True).is_fully_resolved
    assert not source.graph(resolve=False).is_fully_resolved
