"""Options from files, and where each option came from."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from in_process import run_here
from pipetask.cli.catalog import COMMANDS
from pipetask.cli.command import Invocation, ModelCommand, command_for
from pipetask.options.commands.run import RunCommand
from pipetask.options.edits import AddTask, DeleteTask, LoadConfigFile, PipelineEdit, SetConfig
from pipetask.options.execution import PreUpdate
from pipetask.options.models import LocalOptions, MultiprocessOptions


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parse(*arguments: str) -> RunCommand:
    """Return what `pipetask run` is told by these arguments."""
    found: list[Invocation] = []
    command = ModelCommand("run", RunCommand, lambda invocation: found.append(invocation) or 0)
    with command.make_context("run", list(arguments)) as ctx:
        command.invoke(ctx)
    options = found[0].options
    assert isinstance(options, RunCommand)
    return options


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, tuple[str, str]]:
    """Return value and origin of each option, as --show-options prints them."""
    command = command_for(COMMANDS["run"])
    with command.make_context("run", [*arguments, "--show-options"]) as ctx:
        assert command.invoke(ctx) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    parts = [[part.strip() for part in row if part.strip()] for row in rows]
    assert all(len(part) == 3 for part in parts)
    return {name: (value, origin) for name, value, origin in parts}


def test_later_wins() -> None:
    Path("pipetask.yaml").write_text(
        "all: {butler-config: repo, output: u/profile, processes: 3}\nrun: {processes: 4, mode: dry-run}\n"
    )
    Path("more.yaml").write_text("run: {mode: multiprocess, output: u/file}\nqgraph: {data-query: a = 1}\n")
    options = parse("-g", "a.qg", "-@", "more.yaml", "-o", "u/line")
    assert options.repository.butler_config == "repo"
    assert options.executor.models.of(MultiprocessOptions).processes == 4
    assert options.executor.mode == "multiprocess"
    assert options.run.collections.output == "u/line"
    assert options.building.data_query == ""


def test_profile_file_can_be_named() -> None:
    Path("pipetask.yaml").write_text("run: {processes: 3}\n")
    Path("other.yaml").write_text("run: {b: repo}\n")
    options = parse("--profile-file", "other.yaml")
    assert options.repository.butler_config == "repo"
    assert options.executor.models.of(MultiprocessOptions).processes == 1


def test_every_kind_of_value() -> None:
    Path("o.yaml").write_text(
        """
run:
  b: repo
  input: [a, "b,c"]
  qgraph-node-id: 01920dcd-8e5e-7a16-a4f5-a3ae9a5e5b6e
  extend-run: true
  raise-on-partial-outputs: false
  timeout: 2.5
  pdb: ipdb
  registry-pre-update: skip
  memory-per-quantum: 2000
  mock-failure: "isr:ValueError:detector = 1"
"""
    )
    options = parse("-@", "o.yaml")
    assert options.run.collections.inputs == ("a", "b", "c")
    assert {str(id) for id in options.run.execution.selection.quantum_ids or ()} == {
        "01920dcd-8e5e-7a16-a4f5-a3ae9a5e5b6e"
    }
    assert options.run.collections.extend_run is True
    assert options.run.execution.quantum.raise_on_partial_outputs is False
    assert options.run.execution.quantum.timeout == 2.5
    assert options.run.execution.quantum.memory == "2000"
    assert options.executor.models.of(LocalOptions).debugger == "ipdb"
    assert options.run.pre_update.when is PreUpdate.SKIP
    (failure,) = options.building.mock_failure
    assert (failure.label, failure.exception, failure.where) == ("isr", "ValueError", "detector = 1")


def test_edits_keep_their_order_and_those_of_files_come_first() -> None:
    Path("pipetask.yaml").write_text("all: {task: [p.A:a, p.B], config: 'a:x=1'}\n")
    Path("o.yaml").write_text("run: {b: repo, delete: a}\n")
    options = parse("-c", "b:y.z=q=2", "-@", "o.yaml", "-tp.C:c", "--delete=d", "-C", "c:one.py,d:two.py")
    assert options.pipeline.edits == (
        AddTask("p.A", "a"),
        AddTask("p.B"),
        SetConfig("a", "x", "1"),
        DeleteTask("a"),
        SetConfig("b", "y.z", "q=2"),
        AddTask("p.C", "c"),
        DeleteTask("d"),
        LoadConfigFile("c", "one.py"),
        LoadConfigFile("d", "two.py"),
    )


@pytest.mark.parametrize(
    ("arguments", "edits"),
    [
        (
            ["-t", "p.A:a", "-c", "a:f=1", "-t", "p.B:b"],
            (AddTask("p.A", "a"), SetConfig("a", "f", "1"), AddTask("p.B", "b")),
        ),
        (["-ca:f=1", "--task=p.A"], (SetConfig("a", "f", "1"), AddTask("p.A"))),
        (["--config", "a:f=-t", "-t", "p.A"], (SetConfig("a", "f", "-t"), AddTask("p.A"))),
        (
            ["-c", "a:f=[1,2]", "-c", "a:g='x:y=z'"],
            (SetConfig("a", "f", "[1,2]"), SetConfig("a", "g", "'x:y=z'")),
        ),
    ],
)
def test_edits_in_every_spelling(arguments: list[str], edits: tuple[PipelineEdit, ...]) -> None:
    assert parse("-b", "repo", *arguments).pipeline.edits == edits


def test_show_options_says_where_each_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    Path("pipetask.yaml").write_text("all: {butler-config: repo, config: 'a:x=1'}\n")
    Path("o.yaml").write_text("run: {output: u/out, input: [one, two]}\n")
    rows = shown(capsys, "-@", "o.yaml", "-j", "7", "--delete", "b")
    assert rows["butler-config"] == ("repo", "pipetask.yaml")
    assert rows["output"] == ("u/out", "o.yaml")
    assert rows["input"] == ("one, two", "o.yaml")
    assert rows["processes"] == ("7", "command line")
    assert rows["extend-run"] == ("no", "default")
    assert rows["registry-pre-update"] == ("now", "default")
    assert rows["edits"][1] == "pipetask.yaml, command line"
    assert rows["retained-dataset-types"] == ("none", "default")
    assert rows["qgraph-node-id"] == ("none", "default")
    assert "show-options" not in rows
    assert rows.keys() >= {"mode", "timeout", "data-query", "save-qgraph", "profile", "cov-report"}


def test_options_are_shown_without_those_that_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys, "-j", "3")
    assert rows["butler-config"] == ("none", "default")
    assert rows["processes"] == ("3", "command line")
    for command in ("report", "purge", "status"):
        done = run_here(command, "--show-options")
        assert done.code == 0, done.err
    assert run_here("run").code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("run: {proceses: 2}", "run has no option 'proceses': did you mean 'processes'?"),
        ("all: {butler-confg: r}", "no command has an option 'butler-confg': did you mean 'butler-config'?"),
        ("rum: {processes: 2}", "there is no command 'rum': did you mean 'run'?"),
        ("run: {processes: [1, 2]}", "processes takes one value"),
        ("run: {processes: two}", "'two' is not a valid integer"),
        ("run: {extend-run: maybe}", "extend-run takes true or false, not 'maybe'"),
        ("run: {output: true}", "output takes a value, not True"),
        ("run: {output: {a: b}}", "output cannot be {'a': 'b'}"),
        ("run: [1, 2]", "has no sections"),
        ("- run", "has no sections"),
        ("run: {config: nonsense}", "'nonsense' is not of the form LABEL:NAME=VALUE"),
        ("run: {", "cannot be read"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(content: str, message: str) -> None:
    Path("o.yaml").write_text(content)
    with pytest.raises(click.UsageError) as raised:
        parse("-b", "repo", "-@", "o.yaml")
    assert message in raised.value.format_message()


def test_file_that_is_not_there() -> None:
    with pytest.raises(click.UsageError, match=r"nowhere\.yaml cannot be read: No such file"):
        parse("-b", "repo", "-@", "nowhere.yaml")


def test_options_of_other_commands_may_stand_in_all() -> None:
    Path("pipetask.yaml").write_text("all: {butler-config: repo, full-output-filename: a.json}\n")
    assert parse().repository.butler_config == "repo"
