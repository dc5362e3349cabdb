"""Whatever LSST's command can be asked for can be asked for here, in the same words; the documentation says so."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import peer_options
from command_pages import write_pages
from peer import find_peer
from peer_coverage import MEANING, compare, pairs, read_peer_options, read_reasons
from pipetask.cli import cli
from pipetask.cli.catalog import COMMANDS
from pipetask.cli.command import command_for


@pytest.mark.peer
def test_what_is_on_file_is_what_the_installed_peer_has() -> None:
    words = [str(find_peer().with_name("python")), peer_options.__file__]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    installed, on_file = json.loads(printed), read_peer_options()
    assert len(installed["commands"]) == 11
    if installed["made_with"]["lsst-ctrl-mpexec"] == on_file["made_with"]["lsst-ctrl-mpexec"]:
        assert installed["commands"] == on_file["commands"], "make doc/peer_options.json again"
    for pair in pairs(installed["commands"], on_file["commands"]):
        assert not pair.differences(), f"make doc/peer_options.json again with the newest: {pair}"


def test_no_command_is_missing() -> None:
    assert set(read_peer_options()["commands"]) - {""} <= set(COMMANDS)


@pytest.mark.parametrize("command", read_peer_options()["commands"])
def test_differences_have_a_reason(command: str) -> None:
    pairs_of_command = [pair for pair in compare() if pair.command == command]
    assert any(pair.theirs for pair in pairs_of_command)
    found = {(command, pair.name, field) for pair in pairs_of_command for field in pair.differences()}
    reasons = {key for reason in read_reasons() for key in reason.explained() if key[2] != MEANING}
    assert found == {key for key in reasons if key[0] == command}


def test_reasons_are_about_options_that_both_have() -> None:
    both = {(pair.command, pair.name) for pair in compare() if pair.theirs and pair.ours}
    assert {key[:2] for reason in read_reasons() for key in reason.explained()} <= both
    assert all(reason.reason.rstrip().endswith(".") for reason in read_reasons())


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, tuple[Change, list[str]]] = {
    "nothing": (lambda run: None, []),
    "a flag is gone": (lambda run: run["options"]["--processes"].update(flags=["--processes"]), ["flags"]),
    "a flag has another negation": (
        lambda run: run["options"]["--raise-on-partial-outputs"].update(off=["--off"]),
        ["off"],
    ),
    "another default": (lambda run: run["options"]["--processes"].update(default=2), ["default"]),
    "another default of a flag": (
        lambda run: run["options"]["--fail-fast"].update(default=True),
        ["default"],
    ),
    "a choice is gone": (
        lambda run: run["options"]["--prune-replaced"].update(choices=["unstore"]),
        ["choices"],
    ),
    "it cannot be repeated": (lambda run: run["options"]["--input"].update(takes="a value"), ["takes"]),
    "it has to be given": (lambda run: run["options"]["--output"].update(required=True), ["required"]),
    "it need not be given": (lambda run: run["options"]["--butler-config"].pop("required"), ["required"]),
    "another limit": (lambda run: run["options"]["--processes"].update(minimum=2), ["minimum"]),
    "an option is gone": (lambda run: run["options"].pop("--rebase"), ["missing"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_comparison_notices(name: str) -> None:
    change, expected = CHANGES[name]
    theirs = {"run": read_peer_options()["commands"]["run"]}
    ours = copy.deepcopy(theirs)
    change(ours["run"])
    assert [field for pair in pairs(theirs, ours) for field in pair.differences()] == expected


def test_comparison_notices_arguments() -> None:
    theirs = {"report": read_peer_options()["commands"]["report"]}
    ours = copy.deepcopy(theirs)
    repo, qgraphs = ours["report"]["arguments"]
    qgraphs["many"] = False
    del repo["required"]
    found = [(pair.name, field) for pair in pairs(theirs, ours) for field in pair.differences()]
    assert found == [("REPO", "required"), ("QGRAPHS", "many")]


def test_more_than_there_was_is_no_difference() -> None:
    theirs = {"run": read_peer_options()["commands"]["run"]}
    ours = copy.deepcopy(theirs)
    ours["run"]["options"]["--processes"]["flags"].append("--cpus")
    ours["run"]["options"]["--more"] = {"flags": ["--more"], "takes": "nothing"}
    assert not [field for pair in pairs(theirs, ours) for field in pair.differences()]


def test_options_are_described_as_they_are_used() -> None:
    described = peer_options.describe(cli)["run"]["options"]
    assert described["--processes"] == {
        "flags": ["-j", "--processes"],
        "takes": "a value",
        "default": 1,
        "minimum": 1,
    }
    assert described["--pdb"]["takes"] == "a value or nothing"
    assert described["--input"]["takes"] == "values"
    assert described["--fail-fast"] == {"flags": ["--fail-fast"], "takes": "nothing"}
    assert described["--butler-config"]["required"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("doc")
    (source / "commands").mkdir()
    (source / "commands/forgotten.md").touch()
    write_pages(source)
    return source / "commands"


def test_there_is_a_page_for_each_command(pages: Path) -> None:
    assert {page.stem for page in pages.iterdir()} == {"index", *COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_all_options(name: str, pages: Path) -> None:
    text = (pages / f"{name}.md").read_text()
    command = command_for(COMMANDS[name])
    flags = [flag for each in command.params for flag in (*each.opts, *each.secondary_opts) if flag[0] == "-"]
    assert len(flags) >= 4
    assert not [flag for flag in flags if not re.search(rf"(?<![\w-]){flag}(?![\w-])", text)]
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    assert all(f"`{(each.name or '').upper()}`\n:" in text for each in arguments)
    assert COMMANDS[name].summary in (pages / "index.md").read_text()
