"""What the command shows on a terminal, narrow or wide, and where there is none."""

from __future__ import annotations

import io
import os
import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from pipetask.cli import main
from pipetask.cli.catalog import COMMANDS, GROUPS
from pipetask.executors.activity import Activity, RunningQuantum
from pipetask.observe.progress import progress_line
from pipetask.observe.progress_table import ProgressTable
from pipetask.observe.tally import Tally
from pipetask.outcome import QuantumOutcome, Status, Usage
from pipetask.testing import enumerated
from pipetask.text import quoted, shell_command, visible, without_password
from terminals import Terminal, lines_of

SHOWS_PROGRESS = (str(Path(__file__).with_name("shows_progress.py")),)


# The progress table.


def progress_at(width: int, **variables: str) -> str:
    terminal = Terminal(program=SHOWS_PROGRESS, width=width, variables=variables)
    shown = terminal.read_until("elapsed") + terminal.read_until("elapsed") + terminal.read_until("elapsed")
    terminal.type("")
    shown += terminal.read_until(None)
    assert terminal.close() == 0
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_number_is_cut_at_any_width(width: int) -> None:
    lines = lines_of(progress_at(width))
    assert max(map(len, lines)) <= width
    last = {line.split()[0]: line for line in lines}
    assert "1284/1284" in last["isr"]
    assert re.search(r"\b6/2345\b", last["warp"])
    assert re.search(r"\b1296/17969\b", last["all"])
    assert "…" not in "".join(line for line in lines if not line.startswith("calibrate"))
    for failed in ("warp", "all"):
        assert re.search(r"\b(1200|2400)\b", last[failed]), "what failed is there at any width"
    assert re.search(r"\b1500\b", last["assemble"])


@pytest.mark.slow
def test_the_bar_shrinks_before_columns_go() -> None:
    wide, middle, narrow = (lines_of(progress_at(width)) for width in (120, 90, 60))
    headings = [
        next(line.split() for line in lines if line.startswith("task")) for lines in (wide, middle, narrow)
    ]
    bars = [max(len(re.sub(r"[^━╍┅─]", "", line)) for line in lines) for lines in (wide, middle, narrow)]
    assert headings[0] == ["task", "done", "running", "failed", "blocked", "memory", "rate", "left"]
    assert headings[1] == [heading for heading in headings[0] if heading != "memory"], "it was empty"
    assert bars[0] == 24 > bars[1] > bars[2] == 0
    assert set(headings[2]) < set(headings[0])


def drawn(tally: Tally, width: int = 120, *, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=stream, width=width, force_terminal=True, color_system="standard", legacy_windows=False
    )
    console.print(ProgressTable(tally))
    stream.seek(0)
    return stream.read()


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 200])
def test_what_runs_longest_is_there_at_any_width(width: int) -> None:
    lines = lines_of(progress_at(width))
    last = [line for line in lines if "assemble number=" in line][-3:]
    assert len(last) == 3, "not all of a hundred"
    for number, line in enumerate(last):
        minutes, size, unit, *name = line.split()
        assert re.fullmatch(r"1[1-9]m\d\ds|[2-9]\dm\d\ds", minutes)
        assert unit in ("MiB", "GiB")
        assert float(size) > 0
        assert name == ["assemble", f"number={16469 + number}"], "in the order in which they started"


@pytest.mark.slow
def test_the_table_follows_the_width_of_the_terminal() -> None:
    terminal = Terminal(program=SHOWS_PROGRESS, width=150, variables={"COLUMNS": ""})
    terminal.read_until("elapsed")
    terminal.resize(60)
    shown, deadline = "", time.monotonic() + 100
    # What was drawn before may still be on its way.
    while not shown or (max(map(len, lines_of(shown))) > 60 and time.monotonic() < deadline):
        terminal.read_until("elapsed")
        shown = terminal.read_until("elapsed") + terminal.read_until("elapsed")
    terminal.type("")
    terminal.read_until(None)
    assert terminal.close() == 0
    lines = lines_of(shown)
    assert max(map(len, lines)) <= 60
    assert any(re.search(r"^all .*1296/17969", line) for line in lines)


@pytest.mark.slow
def test_no_colour_where_none_is_wanted() -> None:
    shown = progress_at(80, NO_COLOR="1")
    assert re.search(r"\x1b\[(\d+;)*[349]\d(;\d+)*m", progress_at(80)), "otherwise there is"
    assert not re.search(r"\x1b\[(\d+;)*[349]\d(;\d+)*m", shown)


def test_a_c_locale_gets_ascii() -> None:
    shown = progress_at(120, LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert shown.isascii()
    lines = lines_of(shown)
    assert "\\u" not in shown, "nothing is written as an escape"
    assert max(map(len, lines)) <= 120
    assert any(re.match(r"isr +=+ ", line) for line in lines), "a bar"


def some_tally(running: list[RunningQuantum]) -> Tally:
    graph, activity = enumerated({"isr": 4, "warp": 4}), Activity()
    activity.report_with(lambda: running)
    tally = Tally(graph, {"isr": 4, "warp": 4}, activity)
    for quantum in graph:
        if quantum.label == "isr":
            usage = Usage(1.0, 1.0, (quantum.id + 1) << 28)
            tally.count(QuantumOutcome(quantum.id, Status.SUCCEEDED, 1.0, 2.0, usage=usage))
    return tally


def test_memory_is_the_largest_peak() -> None:
    tally = some_tally([])
    isr, warp = tally.rows()
    assert (isr.memory, warp.memory, tally.sum([isr, warp]).memory) == (1 << 30, None, 1 << 30)
    text = drawn(tally)
    assert text.count("1 GiB") == 2
    assert "running longest" not in text
    assert "peak memory 1 GiB" in progress_line(tally)
    assert "memory" not in drawn(tally, width=40), "it goes before what is done"


def test_what_has_just_started_is_not_shown() -> None:
    now = time.time()
    running = [
        RunningQuantum(4, now + 1000),
        RunningQuantum(5),
        RunningQuantum(6, now - 65, 2**22 + 1),
        RunningQuantum(7, now),
    ]
    tally = some_tally(running)
    (longest,) = tally.longest()
    assert longest.name == "warp number=6"
    assert longest.memory is None, "there is no such process"
    text = drawn(tally)
    assert re.search(r"1m\d\ds  warp number=6", text)
    assert re.search(r"longest warp number=6 for 1m\d\ds", progress_line(tally))


def test_names_are_cut_and_numbers_are_not() -> None:
    label = "a_label_\x1b[31m" + 60 * "x"
    graph, activity = enumerated({label: 2}), Activity()
    activity.report_with(lambda: [RunningQuantum(1, time.time() - 7300, os.getpid())])
    tally = Tally(graph, {label: 2}, activity)
    for quantum in graph:
        if quantum.id == 0:
            tally.count(QuantumOutcome(0, Status.SUCCEEDED, 1.0, 2.0))
    for encoding in ("utf-8", "ascii"):
        text = drawn(tally, 60, encoding=encoding)
        lines = lines_of(text)
        assert max(map(len, lines)) <= 60
        assert "2h01m" in text
        assert "1/2" in text
        assert "\x1b[31m" not in text
        assert text.isascii() is (encoding == "ascii")


def test_the_display_costs_the_same_in_a_large_run() -> None:
    """Only what runs is looked at: no outcome, and no quantum that does not run."""
    graph, activity = enumerated({"isr": 100_000}), Activity()
    activity.report_with(lambda: [RunningQuantum(0, time.time() - 10)])
    tally = Tally(graph, {"isr": 100_000}, activity)
    for quantum in graph:
        tally.count(QuantumOutcome(quantum.id, Status.SUCCEEDED, 1.0, 2.0, usage=Usage(1.0, 1.0, 5)))
    looked: list[int] = []
    tally._graph = SimpleNamespace(  # type: ignore[assignment]
        label=lambda id: looked.append(id) or graph.label(id),
        data_id=lambda id: looked.append(id) or graph.data_id(id),
    )
    drawn(tally)
    assert 0 < len(looked) < 10


def test_blocked_quanta_are_no_progress() -> None:
    graph = enumerated({"isr": 4, "warp": 4})
    tally = Tally(graph, {"isr": 4, "warp": 4}, Activity())
    for quantum in graph:
        if quantum.label == "warp":
            tally.count(QuantumOutcome(quantum.id, Status.BLOCKED, blocked_by=0))
    text = drawn(tally)
    assert "━" not in text
    assert "\x1b[33m┅" in text, "yellow, and another character"
    assert "~" in drawn(tally, encoding="ascii")


def test_the_whole_takes_no_shorter_than_a_part() -> None:
    graph = enumerated({"isr": 5000, "warp": 100})
    tally = Tally(graph, {"isr": 5000, "warp": 100}, Activity())
    for quantum in graph:
        if quantum.label == "isr" or quantum.id % 50 == 0:
            tally.count(QuantumOutcome(quantum.id, Status.SUCCEEDED, 1.0, 2.0))
    rows = list(tally.rows())
    parts = [row.seconds_left for row in rows if row.left]
    whole = tally.sum(rows).seconds_left
    assert whole is not None
    assert parts
    assert all(part is not None and whole >= part for part in parts)


# Live or not.


@pytest.mark.slow
def test_colour_in_a_file_is_no_live_display(tmp_path: Path) -> None:
    """FORCE_COLOR asks for colours, and cannot make a file a terminal."""
    terminal = Terminal(program=("-c", _IN_A_FILE, str(tmp_path / "err"), *SHOWS_PROGRESS))
    terminal.read_until("shown")
    terminal.type("")
    terminal.read_until(None)
    assert terminal.close() == 0
    text = (tmp_path / "err").read_text()
    assert "quanta done" in text
    assert "\x1b" not in text


_IN_A_FILE = """
import os, subprocess, sys, time
with open(sys.argv[1], "w") as stream:
    environment = {**os.environ, "FORCE_COLOR": "1", "PIPETASK_CONFIG": ""}
    process = subprocess.Popen([sys.executable, sys.argv[2]], stderr=stream, env=environment)
while not os.path.getsize(sys.argv[1]):
    time.sleep(0.05)
print("shown", flush=True)
sys.exit(process.wait())
"""


@pytest.mark.slow
def test_a_dumb_terminal_gets_lines() -> None:
    terminal = Terminal(program=SHOWS_PROGRESS, variables={"TERM": "dumb"})
    shown = terminal.read_until("quanta done")
    terminal.type("")
    shown += terminal.read_until(None)
    assert terminal.close() == 0
    assert "\x1b" not in shown


# What comes from outside.


def test_a_shell_understands_any_words() -> None:
    words = ["a b", "it's\n\x1b[31mred", "back\\slash\t'", "plain", "\u0085é"]
    command = shell_command(["printf", r"%s\0", *words])
    assert command.isprintable()
    out = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == words


def test_control_characters_are_shown() -> None:
    assert visible("a\x1b[31m\nb é") == r"a\x1b[31m\nb é"
    assert quoted("plain/path") == "plain/path"
    assert quoted("two\nlines") == r"'two\nlines'"


@pytest.mark.slow
def test_a_repository_with_escapes_in_its_name_is_quoted() -> None:
    terminal = Terminal("run", "-b", "no\x1b[2Jsuch\nrepo", "-g", "none.qg")
    shown = terminal.read_until(None)
    assert terminal.close() != 0
    assert r"no\x1b[2Jsuch" in shown
    assert "\x1b[2J" not in shown
    assert len(lines_of(shown)) == 1


# The command line.


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_command_alone_shows_a_page(width: int) -> None:
    terminal = Terminal(width=width)
    lines = lines_of(terminal.read_until(None))
    assert terminal.close() == 2
    assert lines[0].startswith("Usage: pipetask")
    assert max(map(len, lines)) <= width
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == [f"{title}:" for title in ("Options", *GROUPS)]
    names = [
        line.split()[0] for line in lines[lines.index("Build and look:") :] if re.match(r"  [a-z]", line)
    ]
    assert names == list(COMMANDS), "one line each"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log-level", "DEBUG", "run", "--nope"], "pipetask run: No such option --nope"),
        (["--log-level", "DEBUG", "nope"], "pipetask: No such command 'nope'"),
        (["--log-level"], "pipetask: Option '--log-level' requires an argument."),
        (["--log-level", "TRACE", "run", "-j", "x"], "pipetask run: Invalid value for '-j'"),
        (["run", "--long-log", "-b", "repo"], "--long-log goes before 'run': pipetask --long-log … run …"),
        (["run", "-b", "repo", "--log-level=INFO"], "--log-level goes before 'run'"),
        (["qgraph", "--log-file", "x"], "--log-file goes before 'qgraph'"),
        (["-b", "repo", "qgraph"], "-b goes behind the command: pipetask qgraph -b …"),
        (["--run-dir", "run"], "--run-dir goes behind the command: pipetask"),
        (["run", "-g", "a.qg", "--qgraph", "b.qg"], "--qgraph is given 2 times: give one."),
        (["qgraph", "-p", "a.yaml", "-p", "b.yaml"], "--pipeline is given 2 times: give one."),
        (["run", "--dry-run"], "No such option --dry-run: did you mean '--mode dry-run'?"),
        (["--long-lag", "run"], "No such option --long-lag: did you mean '--long-log'?"),
    ],
)
def test_usage_errors_are_one_line_at_any_log_level(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://me:secret@host:5672//", "amqp://me:***@host:5672//"),
        ("redis://:p@ss:word@host/0", "redis://:***@host/0"),
        ("tcp://host:8786", "tcp://host:8786"),
        ("redis+socket://me:secret@/tmp/a@b", "redis+socket://me:***@/tmp/a@b"),
    ],
)
def test_passwords_of_addresses_are_not_shown(text: str, shown: str) -> None:
    assert without_password(f"--route a=celery:{text}") == f"--route a=celery:{shown}"
