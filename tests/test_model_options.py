"""Options that belong to execution models: refused where they would have no effect, and brought by plug-ins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from pipetask.cli.catalog import COMMANDS
from pipetask.cli.command import Invocation, ModelCommand
from pipetask.cli.execution import executor_for
from pipetask.errors import UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.modes import find_executor
from pipetask.options.declaration import declared
from pipetask.options.execution import ExecutorOptions
from pipetask.options.owners import BUILT_IN
from pipetask.settings.site import VARIABLE
from pipetask.testing import CallSpec, enumerated

from conftest import environment  # isort: skip
from test_completion import complete  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

PLUGIN = """
from dataclasses import dataclass
from pipetask.batch.system import BatchSystem
from pipetask.executors.base import QuantumExecutor
from pipetask.options.batch import BatchOptions
from pipetask.options.declaration import argument, option

@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    queue: str = option("--queue", default="short", choices=("short", "long"), help="Name of the queue.")

class Queued(QuantumExecutor):
    options_group = QueueOptions
    def __init__(self, options):
        self.options = options
    def execute(self, quanta, context):
        yield from ()

class Batch(Queued):
    options_group = BatchOptions

@dataclass(frozen=True, kw_only=True)
class SystemOptions:
    share: int = option("--share", default=1, help="Share of the machine.")

class MySystem(BatchSystem):
    options_group = SystemOptions
    write = submit = watch = cancel = restart = None
    def __init__(self, options=None):
        self.options = options

class Plain(Queued):
    options_group = None
    def __init__(self):
        pass

@dataclass(frozen=True, kw_only=True)
class ClashingOptions:
    output: str = option("--output", default="", help="Clashes.")

class Clashing(Queued):
    options_group = ClashingOptions

@dataclass(frozen=True, kw_only=True)
class OtherDefaultOptions(BatchOptions):
    wait: bool = option("--wait", default=True, help="Follow the run to its end, as if it ran here.")

class OtherDefault(Queued):
    options_group = OtherDefaultOptions

@dataclass(frozen=True, kw_only=True)
class DemandingOptions:
    file: str = argument("A file.")

class Demanding(Queued):
    options_group = DemandingOptions
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*arguments: str, command: str = "run") -> Any:
    """Return the execution model that a command would use."""
    found: list[Any] = []

    def run(invocation: Invocation) -> int:
        found.append(executor_for(invocation, invocation.options.executor, None))
        return 0

    made = ModelCommand(command, COMMANDS[command].model(), run)
    words = ["-b", "repo", "-g", "a.qg"] if command == "run" else ["repo", "a.qg"]
    with made.make_context(command, [*words, *arguments]) as ctx:
        made.invoke(ctx)
    return found[0]


@pytest.mark.parametrize("mode", BUILT_IN)
def test_the_groups_that_help_shows_are_those_of_the_models(mode: str) -> None:
    own = find_executor(mode).options_group
    assert own is not None
    shown = [each for group in BUILT_IN[mode].groups for each in declared(group)]
    assert {each.identity for each in declared(own)} == {each.identity for each in shown}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "-j 8 --bundle-size 5",
            "--bundle-size is an option of --mode condor, slurm, pbs and pjm, and quanta run with --mode "
            "multiprocess: leave it out, or use one of those modes.",
        ),
        (
            "--no-submit --wait",
            "--no-submit and --wait are options of --mode condor, slurm, pbs and pjm, .* leave them out",
        ),
        (
            "--submit",
            "--submit is an option of --mode condor, slurm, pbs and pjm, and quanta run with --mode in-process",
        ),
        ("--plan p", "--plan is an option of --mode dry-run, and quanta run with --mode in-process"),
        ("-j 2 --engine threads", "--engine is an option of --mode futures, .* --mode multiprocess"),
        ("--mode condor --start-method spawn", "--start-method is an option of --mode multiprocess"),
        ("--mode condor --no-preload", "--no-preload is an option of --mode multiprocess"),
        ("--mode condor -j 4", "-j is an option .*: to run several quanta in a job .* request_cpus=4"),
        ("--mode condor --pdb", "--pdb is an option of --mode in-process and multiprocess, .* with -j 1"),
        (
            "--mode in-process -j 2",
            "-j is an option of --mode multiprocess and futures, and quanta run with --mode in-process",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "run-qbb"])
def test_what_would_have_no_effect_is_refused(command: str, arguments: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        make(*arguments.split(), command=command)


@pytest.mark.parametrize(
    "arguments",
    [
        "-j 1 --start-method spawn",  # as scripts say it whose -j is a variable
        "-j 2 --pdb",
        "--mode in-process -j 1",
        "--mode dry-run -j 8 --bundle-size 5 --start-method spawn",  # of whatever command
    ],
)
def test_what_is_harmless_is_not_refused(arguments: str) -> None:
    if "--pdb" in arguments:
        with pytest.raises(UsageError, match="terminal"):  # which is the model's own word
            make(*arguments.split())
    else:
        make(*arguments.split())


def test_a_profile_may_have_options_for_several_modes() -> None:
    Path("pipetask.yaml").write_text("run: {processes: 8, bundle-size: 5, submit: false}\n")
    assert type(make()).__name__ == "MultiprocessExecutor"
    assert make("--mode", "condor").traits.batch
    with pytest.raises(UsageError, match="--bundle-size is an option of --mode condor"):
        make("--bundle-size", "5")


def test_options_are_made_without_reading_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/no/such/file.yaml")
    assert ExecutorOptions().mode_for(None) == "in-process"


# Routes.


def test_routes_name_models_and_engines() -> None:
    routes = ["isr=threads", "coadd*=multiprocess:3", "b=threads", "c=multiprocess"]
    made = make("-j", "2", *(f"--route={route}" for route in routes))
    default, by_pattern = made._default.model, {route.pattern: route.model for route in made._routes}
    assert type(default).__name__ == "MultiprocessExecutor"
    assert by_pattern["isr"] is by_pattern["b"], "the same name is the same model"
    assert by_pattern["c"] is default
    assert by_pattern["coadd*"]._processes == 3
    assert by_pattern["isr"]._engine.slots == default._processes == 2


def test_with_routes_one_process_is_a_process_of_its_own() -> None:
    assert type(make("--route", "isr=threads")._default.model).__name__ == "MultiprocessExecutor"


def test_options_of_routed_models_have_an_effect() -> None:
    make("--route", "isr=futures", "--engine", "threads", "--engine-folder", "there")
    Path("pipetask.yaml").write_text("run: {processes: 8, route: ['isr=threads', 'b=threads']}\n")
    assert len(make()._routes) == 2
    assert type(make("--mode", "dry-run", "--route", "isr=threads")).__name__ == "DryRunExecutor"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--route isr=dusk", r"--route isr=dusk: there is no such model or engine: did you mean 'dask'\?"),
        (
            "--route isr=in-process",
            "--route isr=in-process: in-process can only run a whole graph; use multiproc",
        ),
        ("--route isr=condor", "--route isr=condor: condor can only run a whole graph"),
        ("--route isr=multiprocess:x", "'x' is not a number of processes"),
        (
            "--mode condor --route isr=threads",
            "--route needs another default than --mode condor, which can only",
        ),
        ("--mode in-process --route isr=threads", "needs another default than --mode in-process"),
        ("--route isr=threads --bundle-size 5", "--bundle-size is an option of --mode condor"),
        ("--route isr=no.such.Model", "no.such.Model: cannot be imported"),
    ],
)
@pytest.mark.parametrize("command", ["run", "run-qbb"])
def test_routes_that_cannot_be_are_refused(command: str, arguments: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        make(*arguments.split(), command=command)


def test_a_route_without_a_model_is_refused() -> None:
    with pytest.raises(click.UsageError, match="'isr' is not of the form LABEL=MODEL"):
        make("--route", "isr")


# Plug-ins.


Install = Callable[..., None]


@pytest.fixture(params=["entry points", "a site's file"])
def install(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what installs models of the plug-in by name."""
    # A module of another name for each test: modules stay imported.
    module = f"plugin_{abs(hash(str(folder)))}"
    (folder / f"{module}.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def install(**modes: str) -> None:
        paths = {mode: name if "." in name else f"{module}:{name}" for mode, name in modes.items()}
        if request.param == "entry points":
            info = folder / "plugin-1.0.dist-info"
            info.mkdir()
            lines = []
            for mode, path in paths.items():
                group = "batch_systems" if path.endswith("System") else "executors"
                lines += [f"[pipetask.{group}]", f"{mode} = {path}"]
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text("\n".join([*lines, ""]))
        else:
            site = folder / "site.yaml"
            site.write_text(f"modes: {{{', '.join(f'{mode}: {path}' for mode, path in paths.items())}}}\n")
            monkeypatch.setenv(VARIABLE, str(site))

    return install


def help_of(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipetask.cli", "run", *arguments, "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
def test_options_of_a_plugin_are_like_others(install: Install) -> None:
    install(queued="Queued", plain="Plain")
    assert (
        "Options of --mode queued:\n  --queue [short|long]  Name of the queue.  [default: short]" in help_of()
    )
    assert complete("pipetask", "run", "--que") == ["plain,--queue"]
    assert complete("pipetask", "run", "--queue", "l") == ["plain,long"]
    assert complete("pipetask", "run", "--mode", "que") == ["plain,queued"]
    assert make("--mode", "queued").options.queue == "short"
    assert make("--mode", "queued", "--queue", "long").options.queue == "long"
    Path("pipetask.yaml").write_text("run: {queue: long}\nall: {queue: short}\n")
    assert make("--mode", "queued").options.queue == "long"
    assert type(make("--mode", "plain")).__name__ == "Plain"
    with pytest.raises(
        UsageError, match=r"--queue is an option of --mode queued, .* with --mode multiprocess"
    ):
        make("-j", "2", "--queue", "long")


def test_the_example_of_the_guide(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(greet="example_executor.GreetingExecutor")
    model = make("--mode", "greet", "--greeting", "Good morning")
    graph = enumerated({"isr": 1})
    assert len(list(model.execute(graph, ExecutionContext(graph, CallSpec(str))))) == 1
    assert capsys.readouterr().out.splitlines()[0] == "Good morning"


@pytest.mark.slow
def test_options_that_models_share_are_one(install: Install) -> None:
    install(other="Batch")
    assert "Options of --mode condor, slurm, pbs, pjm, other:\n" in help_of()
    made = make("--mode", "other", "--bundle-size", "5")
    assert made.options.bundle_size == 5
    with pytest.raises(
        UsageError, match="--bundle-size is an option of --mode condor, slurm, pbs, pjm and other,"
    ):
        make("--bundle-size", "5")


@pytest.mark.slow
def test_a_batch_system_has_options_of_its_own_and_those_of_all_batch_runs(install: Install) -> None:
    install(my="MySystem", queued="Queued")
    text = help_of()
    assert "Options of --mode condor, slurm, pbs, pjm, my:\n  --run-dir DIR" in text
    assert "Options of --mode my:\n  --share INTEGER" in text
    made = make("--mode", "my", "--bundle-size", "5", "--share", "3")
    assert made._options.bundle_size == 5
    assert made._system.options.share == 3
    with pytest.raises(
        UsageError, match="--condor is an option of --mode condor, and quanta run with --mode my"
    ):
        make("--mode", "my", "--condor", "request_cpus=2")
    with pytest.raises(UsageError, match="several quanta in a job at the same time, see the settings of"):
        make("--mode", "my", "-j", "2")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module.Model", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("Missing", "has no attribute 'Missing'"),
        ("Clashing", "its option --output has the name of another option"),
        ("OtherDefault", "its option --wait has the name of another option"),
        ("Demanding", "option 'file' of DemandingOptions needs flags and a default"),
    ],
)
def test_a_broken_plugin_harms_no_other(install: Install, name: str, reason: str) -> None:
    install(broken=name, queued="Queued")
    text = " ".join(help_of().split())
    assert "Options of --mode queued:" in text
    assert "Modes that cannot be used:" in text
    assert reason in text
    assert type(make("-o", "u/out", "-j", "2")).__name__ == "MultiprocessExecutor"
    with pytest.raises(UsageError, match="--mode broken cannot be used: ") as raised:
        make("--mode", "broken")
    assert reason in str(raised.value)
    with pytest.raises(click.UsageError, match=r"No such option --its-own .*--mode broken cannot be used"):
        make("--mode", "broken", "--its-own", "3")


def test_a_model_without_a_name_has_its_defaults(install: Install, folder: Path) -> None:
    module = next(folder.glob("plugin_*.py")).stem
    made = make("--mode", f"{module}:Queued")
    assert made.options.queue == "short"
