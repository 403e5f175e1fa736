"""Recording a run: the launcher starts an engine and the command, and writes what neither of them sees."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead import __version__
from playhead.capture.boundary import askers
from playhead.capture.environment import RouteChoice, child_environment, key_names, trusted_files
from playhead.capture.process.spawn import Command, CommandNotStarted, Stdio
from playhead.capture.process.watch import Privileges
from playhead.capture.wire.authority import Authority
from playhead.capture.wire.rules import UpstreamRules
from playhead.core.clock import wall_ns
from playhead.core.ids import is_name, new_session_id
from playhead.core.redact import RULE_PACK_VERSION, Redactor, credential_arguments, credential_values
from playhead.errors import SetupError, UsageError
from playhead.journal.processes import process_of
from playhead.runs import detectors
from playhead.runs.bypass import DIRECT, Bypasses
from playhead.runs.command import resolve_command
from playhead.runs.engine import EngineProcess
from playhead.runs.inner import Inner, is_wanted, said_inside, troubles_inside, without_hook
from playhead.runs.launcher import Launcher
from playhead.runs.leftovers import LINGER_S, STILL_RUNNING, await_leftovers
from playhead.runs.machine import platform_name
from playhead.runs.recording import LauncherSegment, seal
from playhead.sessions.header import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from playhead.capture.process.spawn import Child
    from playhead.journal.store import Store
    from playhead.runs.launcher import ExitStatus
    from playhead.runs.service import RecordService

NOTHING_CAPTURED = 4
DEATHS_AT_MOST = 20  # an engine that dies at once, again and again, will not live by being started again


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """How to record; the fields are the options of `playhead record`."""

    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    durability: str = "write"
    redact: str = "secrets"
    maps: Sequence[str] = ()
    upstream_ca: Path | None = None
    route: RouteChoice = RouteChoice.AUTO
    ignore_hosts: Sequence[str] = ()
    allow_empty: bool = False
    port: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the exit code of the command, the summary, why it is less than it should be, and what else
    there is to say to a person."""

    exit_code: int
    summary: dict[str, Any]
    remarks: list[str]
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # by the agent's processes; nothing is missing for it


def record(store: Store, argv: Sequence[str], options: RecordOptions) -> Outcome:
    """Run `argv` and record it. Raises UsageError and SetupError before anything has started."""
    _check(options)
    command = resolve_command(argv)
    authority = Authority.open(store.authority)
    session = new_session_id()
    listener = listen(options.port)
    port = listener.getsockname()[1]
    inner = Inner.drawn(os.environ)
    with store.writing():
        bundle = authority.write_bundle(store.authority / "bundle.pem", trusted_files(os.environ))
        environment = child_environment(
            os.environ,
            port=port,
            run=session,
            authority_pem=authority.certificate_path,
            bundle=bundle,
            route=options.route,
            tape=inner.recording(store.folder(session), durability=options.durability, redact=options.redact),
        )
    rules = UpstreamRules.read(
        os.environ,
        maps=options.maps,
        prefixes=environment.upstreams,
        ignore_hosts=options.ignore_hosts,
        upstream_ca=options.upstream_ca,
    )
    redactor = Redactor(
        extra_values=[*credential_values(os.environ), *credential_arguments(argv)] if options.redact != "off" else (),
        bodies=options.redact != "off",
        personal=options.redact == "pii",
        detectors=detectors.detectors(detectors.named(os.environ, options.redact)),
    )
    stdio = Stdio.here()
    header = _header(session, argv, options, redactor, environment.base_urls, stdio, port, inner)
    folder = store.begin(session)
    try:
        with store.writing():
            askers.make(folder)
            segment = LauncherSegment(folder, header, redactor, playhead=__version__)
    except SetupError:
        _discard(store, session)
        raise

    launcher_pid = os.getpid()

    def service(*, relay: bool = False) -> RecordService:
        from playhead.runs.service import RecordService  # here: in the engine, while the command starts

        return RecordService(
            listener,
            authority,
            rules,
            None if relay else folder / "engine.seg",
            redactor=redactor,
            durability=options.durability,
            launcher_pid=launcher_pid,
            gated=os.environ.get("PLAYHEAD_GATE") != "off",
        )

    engine = EngineProcess.start(service, keep={listener.fileno()})
    bypasses = Bypasses(port)
    with Launcher(segment.stdio) as launcher:
        try:
            child = launcher.start(
                Command(tuple(command), environment.variables), stdio, watching=bypasses.plan(Privileges.KEEP)
            )
        except (CommandNotStarted, SetupError):
            engine.finish()
            _discard(store, session)
            raise
        bypasses.watch(launcher, child, engine.pid, deny=False)
        keeper = _EngineKeeper(
            engine,
            launcher,
            segment,
            child,
            lambda: EngineProcess.start(lambda: service(relay=True), keep={listener.fileno()}),
        )
        keeper.on_new_engine = bypasses.exclude
        keeper.mind()
        status = launcher.run()
        left = await_leftovers(launcher, bypasses.tree, LINGER_S)
        bypasses.close()
        notifier = os.dup(child.notifier) if left and child.notifier is not None else None
    keeper.finish()
    if left:
        kept = {listener.fileno()} | ({notifier} if notifier is not None else set())
        EngineProcess.start(lambda: service(relay=True), keep=kept).stay_for([each.pid for each in left], notifier)
    listener.close()
    for each in left:
        segment.not_captured(each.name, STILL_RUNNING)
    said = _close(segment, folder, status, bypasses)
    return replace(_outcome(store, session, status, options, environment.notes), said=[*_unhooked(command), *said])


def _close(segment: LauncherSegment, folder: Path, status: ExitStatus, bypasses: Bypasses) -> list[str]:
    """Write what went past, what the agent's processes left behind, and the end; returns what there is to tell the user."""
    from playhead.runs.slipped import PLACE, slips

    taped = [name for name in (process_of(path.stem) for path in folder.glob("*.seg")) if name]
    slipped = slips(folder, taped, knows=bypasses.knows)
    direct = dict.fromkeys([place for place, _ in bypasses.found()] + [s.name for s in slipped if s.what == PLACE])
    for place in direct:
        segment.not_captured(place, DIRECT)
    for trouble in troubles_inside(folder):
        segment.trouble(trouble)
    said = [*said_inside(folder), *(slip.note for slip in slipped if slip.what != PLACE)]
    segment.close(status)
    return said


class _EngineKeeper:
    """Keeps calls working when the engine dies: another takes its place at the same socket and relays, unrecorded."""

    def __init__(
        self,
        engine: EngineProcess,
        launcher: Launcher,
        segment: LauncherSegment,
        child: Child,
        start_relay: Callable[[], EngineProcess],
    ) -> None:
        self.engine = engine
        self.on_new_engine: Callable[[int], None] = lambda _pid: None
        self._launcher, self._segment, self._child, self._start_relay = launcher, segment, child, start_relay
        self._deaths = 0

    def mind(self) -> None:
        """Listen to the engine and tell it which process it serves."""
        self._launcher.control(self.engine.channel, self._heard)
        self._launcher.watch_child(self.engine.pid, self._gone)
        self.engine.say(child=self._child.pid, notifier=self._child.notifier, launcher=os.getpid())

    def _heard(self, data: bytes) -> None:
        for message in self.engine.messages(data):
            if "trouble" in message:
                self._segment.trouble(str(message["trouble"]))

    def _gone(self, status: int) -> None:
        self.engine.alive = False
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
        self._launcher.unwatch(self.engine.channel.fileno())
        self.engine.channel.close()
        self._deaths += 1
        if self._deaths > DEATHS_AT_MOST:
            self._segment.trouble(f"the engine died {self._deaths} times ({how}); later calls fail")
            return
        self._segment.trouble(f"the engine died ({how}); later calls were relayed unrecorded")
        self.engine = self._start_relay()
        self.on_new_engine(self.engine.pid)
        self.mind()

    def finish(self) -> None:
        if self.engine.alive and self.engine.finish() is None:
            self._segment.trouble("the engine did not end in order")
        for reason in self.engine.last_troubles:
            self._segment.trouble(reason)


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1. Raises SetupError when `port` is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise SetupError(
            f"Port {port} cannot be used.",
            code="port-taken",
            where=f"127.0.0.1:{port}",
            seen=error.strerror or str(error),
            todo="leave --port out to take any free one, or end what listens there",
        ) from None
    return listener


def _check(options: RecordOptions) -> None:
    if options.name and not is_name(options.name):
        raise UsageError(
            f"{options.name!r} cannot name a session.",
            code="bad-name",
            where="--name",
            expected="printable text without : / ~ \\, not `last`",
            todo="choose another name",
        )


def _header(
    session: str,
    argv: Sequence[str],
    options: RecordOptions,
    redactor: Redactor,
    base_urls: Mapping[str, str],
    stdio: Stdio,
    port: int,
    inner: Inner,
) -> Header:
    scope = redactor.message()
    rows_columns = None
    with contextlib.suppress(OSError):
        size = os.get_terminal_size(next(fd for fd in (0, 1, 2) if os.isatty(fd))) if "tty" in stdio.kinds else None
        rows_columns = [size.lines, size.columns] if size else None
    return Header(
        id=session,
        created_ns=wall_ns(),
        command=redactor.argv(argv),
        cwd=str(_working_directory()),
        name=scope.text(options.name),
        tags=scope.labels(options.tags),
        environment=redactor.environment(os.environ),
        keys=key_names(os.environ),
        stdio=[kind.value for kind in stdio.kinds],
        terminal=rows_columns,
        tmpdir=tempfile.gettempdir(),
        zone_s=time.localtime().tm_gmtoff,
        base_urls={name: scope.text(url) for name, url in base_urls.items()},
        port=port,
        durability=options.durability,
        redaction=RULE_PACK_VERSION,
        redact=options.redact,
        detectors=detectors.named(os.environ, options.redact),
        route=options.route.value,
        playhead=__version__,
        python=sys.version.split()[0],
        platform=platform_name(),
        seed=inner.seed,
        hash_seed=inner.hash_seed,
    )


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise SetupError(
            "The working directory is not there any more.",
            code="directory-missing",
            seen=error.strerror or str(error),
            todo="change to a directory that exists",
        ) from None


def _unhooked(command: Sequence[str]) -> list[str]:
    """What to say of a Python that was told to leave our hook out."""
    flag = without_hook(command) if is_wanted(os.environ) else ""
    name = Path(command[0]).name
    return [f"{name} {flag} leaves out the hook: what happens inside it is not on the tape"] if flag else []


def _discard(store: Store, session: str) -> None:
    """Nothing has run, so nothing was recorded: leave nothing behind."""
    with contextlib.suppress(OSError):
        store.remove(session)


def _outcome(store: Store, session: str, status: ExitStatus, options: RecordOptions, notes: Sequence[str]) -> Outcome:
    """Seal what was recorded, and say how it went."""
    # what is only needed once the run is over is not loaded before it begins
    from playhead.journal.unsealed import seal_leftovers
    from playhead.runs.summary import session_summary
    from playhead.sessions.index import add
    from playhead.sessions.reader import read_recording
    from playhead.sessions.session import Session

    trouble = seal(store, session)
    seal_leftovers(store)
    recorded = Session(read_recording(store.path(session)))
    add(store, recorded)
    code, source = status.shell_code, "child"
    if code == 0:
        source = "playhead"
        if not options.allow_empty and not recorded.recording.exchanges and not recorded.steps:
            code = NOTHING_CAPTURED
    summary = session_summary(recorded, command="record", exit_code=code, exit_source=source)
    return Outcome(code, summary, recorded.recording.incomplete, [*notes, *([trouble] if trouble else [])])
