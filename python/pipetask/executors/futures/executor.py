"""The execution model for engines of `concurrent.futures`' kind."""

from __future__ import annotations

import concurrent.futures
import logging
import pickle
import platform
import signal
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from multiprocessing import current_process
from pathlib import Path

from ...errors import MissingGuardError, PipetaskError, UsageError, closest, one_line, reason_of
from ...graph.enumeration import QuantumData
from ...options.declaration import check_group
from ...options.models import FuturesOptions
from ...outcome import QuantumOutcome
from ...runner import RunnerSpec
from ...settings.engine import EngineSettings
from ...text import without_password
from ..base import ExecutionContext, QuantumExecutor, Traits
from ..frontier import Frontier
from ..pool.bundling import BundlePolicy
from ..pool.executor import THREAD_VARIABLES
from ..resources import Resources
from ..stop import StopLevel, StopRequest
from ..stop_signals import FROM_TERMINALS
from .dispatch import Dispatch
from .engine import Borrowed, Engine, engine_names, find_engine, slots_of
from .environment import Environment
from .far_side import end_run, note_end, warm_up
from .inquiry import Facts, Inquiry
from .packages import BASE, look_at, package_of, place_of
from .patience import LIMIT, REMEDY, Patience
from .probe import Look, difference, look_around, other_tasks
from .shared_folder import Pulse, SharedFolder
from .surroundings import Surroundings
from .survivors import Survivors

__all__ = ["FuturesExecutor"]

_LOG = logging.getLogger(__name__)

POLICY = BundlePolicy(seconds=1.0, most=64)
"""An engine needs milliseconds for what the pool does in one, so bundles are longer."""

PROMPTNESS = 0.5
"""Seconds until a stop is noticed while a worker is to answer."""

SELF_DESCRIPTION = (
    "__import__('socket').gethostname()",
    "__import__('platform').python_version()",
    "__import__('sys').executable",
    "next((each.version for each in __import__('importlib.metadata').metadata.distributions(name='pipetask')), None)",
)
"""What any Python can evaluate."""

MOST_ASKED = 16
"""Workers that are asked to look around if some of them may be busy."""

MOST_WARMED = 256
"""Workers that get ready while the command does; others do so with their first bundle."""

_UNDER_WAY: set[Path] = set()
"""Folders of this process's own runs: several engines may run parts of one graph, and are no earlier attempts."""


class FuturesExecutor(QuantumExecutor):
    """Runs quanta on an engine: anything that takes a function and returns a future.

    Parameters
    ----------
    engine
        An `Engine`, which is closed in the end, or an executor, which is not.
    slots
        For an executor: how many functions it can run at the same time, if it does not say so.
    folder
        A folder that the engine's workers can see, too.  By default it is one for temporary files, which is right for
        workers on this machine.  Workers that cannot see it run quanta all the same, but when the engine loses one of
        them, what it had finished and not yet told is run again.
    policy
        How many quanta travel together, and how long they may take to stop.
    settings
        Names of files, environments and code where the engine's workers are; or a file with these settings.
    implicit_threads
        Whether libraries in the workers may start threads of their own.
    """

    traits = Traits(retries=True, resources=True, shared_limits=True, parts=True)
    options_group = FuturesOptions

    def __init__(
        self,
        engine: Engine | concurrent.futures.Executor,
        slots: int | None = None,
        folder: str | Path | None = None,
        policy: BundlePolicy = POLICY,
        settings: EngineSettings | str | Path | None = None,
        *,
        implicit_threads: bool = False,
    ):
        if not hasattr(engine, "submit"):
            raise UsageError(
                f"engine={engine!r} has no method submit: give an Engine or an executor; or name an engine in "
                "pipetask.run(…, mode='futures', engine='loky')."
            )
        self._engine = engine if isinstance(engine, Engine) else Borrowed(engine, slots)
        self._option: str | None = None
        self._parent_folder = folder
        self._policy = policy
        if isinstance(settings, str | Path):
            settings = EngineSettings.load(settings)
        self._settings = settings or EngineSettings()
        self._surroundings: Surroundings | None = None
        self._run: str | None = None
        self._folder: SharedFolder | None = None
        self._survivors: Survivors | None = None
        self._starter: threading.Thread | None = None
        self._refusals: list[Exception] = []
        self._afterwards: Callable[[], object] | None = None
        self._ender: threading.Thread | None = None
        self.traits = replace(self.traits, implicit_threads=implicit_threads)

    @classmethod
    def from_options(cls, options: FuturesOptions, option: str | None = None) -> FuturesExecutor:
        """Make an instance for the command line.

        Parameters
        ----------
        options
            Its options.
        option
            The option that names the engine, with its value, for messages; by default ``--engine``.
        """
        check_group(options, FuturesOptions)
        option = without_password(option or f"--engine {options.engine}")
        engine = find_engine(options.engine, options.processes, option)
        settings = None
        if options.engine_settings is not None:
            settings = EngineSettings.load(options.engine_settings)
            _warn_of_names(settings.engines, options.engine_settings)
            settings = settings.of_engine(options.engine)
        made = cls(
            engine,
            folder=options.engine_folder,
            settings=settings,
            implicit_threads=options.implicit_threads,
        )
        made._option = option
        return made

    @classmethod
    def instead_of(cls, option: str, value: object) -> str | None:
        """Return what can be done instead of giving another model's option."""
        return "run the quantum here with -j 1" if option == "debugger" else None

    def prepare(self) -> None:
        """Start the engine, and let its workers import what they need while the caller reads the graph."""
        if getattr(current_process(), "_inheriting", False):
            raise MissingGuardError  # this is a worker, which imports the script
        if self._run is not None:
            return
        self.settle()
        self._surroundings = there = Surroundings(self._settings, is_here=self._engine.is_here)
        self._run, self._folder = uuid.uuid4().hex, self._new_folder()
        _UNDER_WAY.add(self._folder.path)
        there.put_code(self._folder)
        # The run may never begin.
        pulse = Pulse(self._folder)
        self._afterwards = weakref.finalize(self, _end, self._run, self._engine, self._folder, pulse)
        environment, folder = there.usual, there.folder_there(self._folder)
        refusals: list[Exception] = []
        self._refusals = refusals
        start = partial(_start, self._engine, refusals, self._run, self._variables, environment, folder)
        self._starter = threading.Thread(target=start, daemon=True, name="pipetask-engine-start")
        self._starter.start()

    def check(self, context: ExecutionContext) -> None:
        """Let a worker look around, and refuse what would fail in all of them."""
        for label in context.graph.structure.labels:
            if not context.graph.source.task_node(label).task_class.canMultiprocess:
                raise PipetaskError(
                    f"Task {label!r} does not support multiprocessing: use -j 1, or leave it out of the pipeline."
                )
        try:
            self._probe(context)
        except BaseException:
            self._close()
            raise

    def _probe(self, context: ExecutionContext) -> None:
        self.prepare()
        self._survivors = self._find_survivors(context)
        there = self._there
        there.warn_of_labels(context.graph.structure.labels, context.subsets)
        facts: Facts | None = None
        look: Look = cache(look_at)
        for environment, labels in self._environments(context).items():
            inquiry = self._inquiry(context, environment, labels)
            facts = self._answer(inquiry, context.stop)
            if facts is None:
                return
            if (reason := difference(facts, inquiry, there.paths, look)) is not None:
                raise PipetaskError(reason)
            self._judge_tasks(other_tasks(facts, look))
        if context.resources is not None:
            self._check_fit(context.resources)
        if self._folder is not None and facts is not None and not facts.sees_folder:
            _LOG.warning(
                "Workers on %s do not see %s: if the engine loses one, what it had not yet told is run again. Name a "
                "folder that both sides see with --engine-folder.",
                facts.host,
                self._folder.path,
            )
            self._folder.remove()
            self._folder = None

    def _judge_tasks(self, other: str | None) -> None:
        """Refuse tasks that are not those of here, or tell of them."""
        match other, self._settings.other_tasks:
            case None, _:
                pass
            case str(), "warn":
                _LOG.warning("%s.", other)
            case str(), _:
                raise PipetaskError(
                    f"{other}: install there what is here, or send it with code: in --engine-settings; with "
                    "other_tasks: warn there, the run begins all the same."
                )

    def _environments(self, context: ExecutionContext) -> dict[Environment, list[str]]:
        """Return the labels that run in each environment."""
        found: dict[Environment, list[str]] = {}
        labels = context.graph.structure.labels
        for label, environment in zip(labels, self._there.environments(labels, context.subsets), strict=True):
            if context.labels is None or label in context.labels:
                found.setdefault(environment, []).append(label)
        return found or {self._there.usual: []}

    def _inquiry(self, context: ExecutionContext, environment: Environment, labels: Sequence[str]) -> Inquiry:
        there, runner = self._there, context.runner
        paths, files = there.paths, runner.files.values()
        # On this machine, and with the same Python, all that was found by this process is there.
        same = self._engine.is_here and not paths and environment.is_usual
        nodes = map(context.graph.source.task_node, labels)
        tasks = tuple(filter(None, (getattr(node, "task_class_name", None) for node in nodes)))
        packages = dict.fromkeys((*BASE, *filter(None, map(package_of, tasks))))
        return Inquiry(
            _pickled(runner.translated(paths) if paths else runner),
            tuple(paths.there(str(Path(file).absolute())) for file in files) if paths else tuple(files),
            there.folder_there(self._folder),
            roots=() if same else tuple(map(paths.there, runner.roots())),
            packages={name: place_of(name) for name in packages},
            # The engine's worker itself needs no tasks.
            tasks=() if environment.is_usual else tasks,
            variables=self._variables,
            environment=environment,
            code=there.code_of(environment),
        )

    def _answer(self, inquiry: Inquiry, stop: StopRequest) -> Facts | None:
        """Return what a worker sees; `None` if the run is to stop before one has answered."""
        try:
            self._wait_for_engine(stop)
            if stop:
                return None
            if self._refusals:  # another try would take as long
                raise _useless(self._engine, self._refusals[0])
            # More than one, since one may come to wait behind what a worker still runs of an earlier attempt.
            number = min(slots_of(self._engine), MOST_ASKED) if self._survivors else 1
            answers = [self._engine.submit(look_around, inquiry) for _ in range(number)]
            patience = Patience(self._engine, self._option)
            while not stop:
                done = concurrent.futures.wait(answers, PROMPTNESS, concurrent.futures.FIRST_COMPLETED).done
                if done:
                    facts: Facts = next(iter(done)).result()
                    return facts
                if self._survivors:  # they may keep all workers busy
                    self._survivors.look()
                    patience.renew()
                patience.look()
        except PipetaskError as error:
            raise self._named(error) from error.__cause__
        except Exception as error:
            raise self._named(self._explained(error)) from error
        return None

    def _named(self, error: PipetaskError) -> PipetaskError:
        """Return an error in terms of the option that has named the engine, if one has."""
        if self._option is None:
            return error
        return (UsageError if isinstance(error, UsageError) else PipetaskError)(f"{self._option}: {error}")

    def _explained(self, error: Exception) -> PipetaskError:
        """Return why a worker cannot look around; one that lacks our package can still say what it is."""
        try:
            described = self._engine.submit(eval, ",".join(SELF_DESCRIPTION)).result(LIMIT)
            host, theirs, interpreter, version = described
        except Exception:
            return _useless(self._engine, error)
        if theirs.split(".")[:2] != platform.python_version().split(".")[:2]:
            return PipetaskError(
                f"Workers on {host} have Python {theirs} ({interpreter}), and this is Python "
                f"{platform.python_version()}: they must be the same."
            )
        ours = eval(SELF_DESCRIPTION[-1])
        if version and ours and version != ours:
            return PipetaskError(
                f"Workers on {host} have pipetask {version} ({interpreter}), and this is pipetask {ours}: they must be "
                "the same."
            )
        return PipetaskError(
            f"Workers on {host} ({interpreter}) cannot run a function of pipetask: {one_line(error)}"
        )

    def _check_fit(self, resources: Resources) -> None:
        slots, inventory = slots_of(self._engine), self._engine.inventory()
        available = resources.available(slots, here=self._engine.is_here, inventory=inventory)
        resources.check_each(inventory)
        resources.check(available, f"the engine runs {slots} at a time")

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta."""
        self.prepare()
        self._wait_for_engine(context.stop)
        assert self._run is not None, "it is prepared"
        try:
            if context.stop:  # perhaps before the engine has started
                frontier = Frontier(quanta, context.retries, elsewhere=context.elsewhere)
                yield from frontier.cancel(context.stop.reason or "")
                return
            there = self._there
            survivors = self._survivors
            if survivors is None:  # it was not checked
                survivors = self._find_survivors(context)
            if there.paths:
                context = replace(context, runner=context.runner.translated(there.paths))
            dispatch = Dispatch(
                quanta,
                context,
                self._engine,
                self._policy,
                self._folder,
                self._variables,
                self._run,
                there,
                survivors,
            )
            with closing(survivors), closing(dispatch):
                context.activity.report_with(dispatch.running, shares=dispatch.shares)
                for outcome in dispatch.outcomes():
                    yield there.back(outcome)
        finally:
            self._close()

    def _find_survivors(self, context: ExecutionContext) -> Survivors:
        """Look for workers that outlive an earlier attempt at this run; let those of this one be found, too."""
        target = context.runner.target
        if self._folder is None or target is None:
            return Survivors(())
        found = SharedFolder.of_target(self._folder.path.parent, target)
        before = [folder for folder in found if folder.path not in _UNDER_WAY]
        self._folder.set_target(target)
        structure = context.graph.structure
        return Survivors(before, lambda: [structure.quantum_id_bytes(p) for p in range(len(structure))])

    @property
    def _there(self) -> Surroundings:
        assert self._surroundings is not None, "it is prepared"
        return self._surroundings

    @property
    def _variables(self) -> dict[str, str]:
        """Environment variables of worker processes."""
        return {} if self.traits.implicit_threads else dict.fromkeys(THREAD_VARIABLES, "1")

    def _new_folder(self) -> SharedFolder:
        try:
            return SharedFolder.make(self._parent_folder)
        except OSError as error:
            named = f"--engine-folder {self._parent_folder or tempfile.gettempdir()}"
            if isinstance(error, FileExistsError | NotADirectoryError):
                raise UsageError(f"{named}: this is, or is in, a file: name a folder.") from error
            raise UsageError(f"{named}: {error.strerror or reason_of(error)}.") from error

    def _wait_for_engine(self, stop: StopRequest) -> None:
        """Wait until the engine is started, or has failed to, or the run is to stop."""
        while self._starter is not None and not stop:
            self._starter.join(PROMPTNESS)
            if not self._starter.is_alive():
                self._starter = None

    def _close(self) -> None:
        """Begin to end the engine.  That can take seconds, in which outcomes can be registered."""
        self._run = self._folder = self._surroundings = self._survivors = None
        afterwards, self._afterwards = self._afterwards, None
        starter, self._starter = self._starter, None
        if afterwards is None:
            return
        # Until an engine elsewhere has been reached, there is nothing to end.  Otherwise the interpreter waits, too.
        unreached = starter is not None and starter.is_alive() and not self._engine.is_here
        ender = threading.Thread(
            target=_carefully, args=(afterwards, starter), name="pipetask-engine-end", daemon=unreached
        )
        try:
            ender.start()
            self._ender = None if unreached else ender
        except RuntimeError:  # there can be no thread, for instance because the interpreter is ending
            _carefully(afterwards, starter)

    def settle(self) -> None:
        """Wait until the engine has ended; end it if it was started for a run that did not begin."""
        if self._run is not None:
            self._close()
        if self._ender is not None:
            self._ender.join()
            self._ender = None


def _start(engine: Engine, refusals: list[Exception], *what: object) -> None:
    """Have workers of an engine get ready for a run; note why it takes nothing, if so."""
    # Inherited by what the engine starts: the command is told, and decides when that ends.
    signal.pthread_sigmask(signal.SIG_BLOCK, FROM_TERMINALS)
    takes_work = False
    try:
        for _ in range(min(slots_of(engine), MOST_WARMED)):
            engine.submit(warm_up, *what)
            takes_work = True
    except Exception as error:
        if not takes_work:
            refusals.append(error)
        _LOG.debug("The engine does not start: %s", one_line(error), exc_info=error)


def _useless(engine: Engine, error: Exception) -> PipetaskError:
    if isinstance(error, PipetaskError):
        return error
    match error:
        case ModuleNotFoundError(name="pipetask"):
            remedy = " Install pipetask where its workers are, in the same version."
        case _ if not engine.is_here and engine.lost(error):
            remedy = f" {REMEDY}"
        case _:
            remedy = ""
    return PipetaskError(f"The engine cannot run a function: {one_line(error)}{remedy}")


def _end(run: str, engine: Engine, folder: SharedFolder, pulse: Pulse) -> None:
    """End what a run has started; logs of quanta that were killed stay, and the folder with them."""
    pulse.stop()
    try:
        folder.ask(StopLevel.KILL)
        engine.tell_all(note_end, run)
        end_run(run)
    finally:
        engine.close()
        folder.remove()
        _UNDER_WAY.discard(folder.path)


def _carefully(end: Callable[[], object], starter: threading.Thread | None) -> None:
    """End an engine when it has started; that it does not end well costs no outcome."""
    if starter is not None:
        starter.join()
    try:
        end()
    except Exception as error:
        _LOG.warning("The engine has not ended as it should: %s", one_line(error))
        _LOG.debug("The engine has not ended as it should:", exc_info=True)


def _pickled(runner: RunnerSpec) -> bytes:
    try:
        return pickle.dumps(runner)
    except Exception as error:
        raise PipetaskError(f"What runs a quantum cannot be sent to workers: {one_line(error)}") from error


def _warn_of_names(names: Iterable[str], path: str) -> None:
    """Tell of settings of an engine whose name may be misspelt; others may be installed elsewhere."""
    known = engine_names()
    for name in names:
        head = name.partition(":")[0]
        if head not in known and (close := closest(head, known)):
            _LOG.warning(
                "--engine-settings %s: engines.%s: there is no such engine: did you mean %r?",
                path,
                name,
                close,
            )
