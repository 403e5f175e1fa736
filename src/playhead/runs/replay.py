"""Replaying a run: the command again, against the tape, with no way out."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead.capture.environment import (
    ADDED_CA_NAMES,
    BUNDLE_NAMES,
    NO_PROXY_NAMES,
    PROXY_NAMES,
    child_environment,
    trusted_files,
)
from playhead.capture.process.isolate import Address, Unavailable, isolate
from playhead.capture.process.spawn import Command, Kind, Stdio
from playhead.capture.process.terminal import Size
from playhead.capture.process.watch import Privileges
from playhead.capture.wire.authority import Authority
from playhead.capture.wire.rules import UpstreamRules, split_host_port
from playhead.cassette.writing import portable_environment
from playhead.core.clock import monotonic_ns, wall_ns
from playhead.core.redact import Redactor, credential_arguments, credential_values
from playhead.errors import SetupError, UsageError
from playhead.matching.masks import Masks, RunFacts
from playhead.player.given import Given
from playhead.runs import detectors
from playhead.runs.bypass import DIRECT, Bypasses
from playhead.runs.command import resolve_command
from playhead.runs.engine import EngineProcess
from playhead.runs.inner import Inner, laid_out, reports_inside, said_inside
from playhead.runs.inside import Inside, in_order, judge_inside
from playhead.runs.launcher import Launcher
from playhead.runs.leftovers import LINGER_REPLAY_S, LINGER_S, STILL_RUNNING, await_leftovers, end_leftovers
from playhead.runs.output import compare_output
from playhead.runs.record import Outcome, listen
from playhead.runs.service import ReplayService
from playhead.runs.slipped import DATAGRAM, report, slips
from playhead.runs.streams import inputs_of
from playhead.runs.summary import session_summary
from playhead.runs.taped import OBSERVING
from playhead.sessions.index import know_costs
from playhead.sessions.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from playhead.capture.process.isolate import Namespace
    from playhead.journal.store import Store
    from playhead.runs.launcher import ExitStatus
    from playhead.sessions.model import Recording

GRACE_NS = 5_000_000_000  # how long a command may take to end by itself after a strict divergence
KILL_NS = 3_000_000_000
_HERE = ("localhost", "127.0.0.1", "::1")
DIVERGED, DAMAGED, BLOCKED, FAILED = 1, 3, 4, 5


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay; the fields are the options of `playhead replay`."""

    strict: bool = True
    speed: float = 0.0
    allow_live: Sequence[str] = ()
    ignore_output: bool = False
    allow_lossy: bool = False


def replay(store: Store, recording: Recording, argv: Sequence[str], options: ReplayOptions) -> Outcome:
    """Run `argv`, or the recorded command in its directory, against `recording`. Raises UsageError and SetupError
    before anything has started."""
    live = [_live_place(text) for text in options.allow_live]
    if recording.header.embedded:
        raise UsageError(
            "This session is a block of a program, which began in the middle of it.",
            code="embedded-session",
            where=f"{recording.header.name or 'session'} ({recording.header.id[:8]})",
            expected="a session of `playhead record`",
            todo="run the program with playhead.replay(...) in the place of playhead.record(...)",
        )
    session = Session(recording)
    know_costs(store, session)
    lossy = [s.number for s in session.steps if s.lossy]
    if lossy and options.strict and not options.allow_lossy:
        return _refused(session, lossy)
    with laid_out(recording) as inner:
        if inner is not None and not options.strict:
            (inner / OBSERVING).touch()
        return _replay(store, session, inner, argv, live, options)


def _replay(
    store: Store,
    session: Session,
    inner: Path | None,
    argv: Sequence[str],
    live: Sequence[tuple[str, int | None]],
    options: ReplayOptions,
) -> Outcome:
    recording = session.recording
    header = recording.header
    authority = Authority.open(store.authority)
    with store.writing():
        bundle = authority.write_bundle(store.authority / "bundle.pem", trusted_files(os.environ))
    command = resolve_command(argv or header.command)
    cwd = None if argv else _recorded_directory(header.cwd)
    network = isolate(port=header.port, forwards=[Address(h, p) for h, p in live if p and _is_here(h)])
    if isinstance(network, Unavailable) and header.port:
        network = isolate(forwards=[Address(h, p) for h, p in live if p and _is_here(h)])
    enclosed = None if isinstance(network, Unavailable) else network
    listener = enclosed.listener if enclosed is not None else _listen_near(header.port)
    with store.writing():
        environment = child_environment(
            _environment(header.environment, os.environ),
            port=listener.getsockname()[1],
            run=header.id,
            authority_pem=authority.certificate_path,
            bundle=bundle,
            base_urls=header.base_urls,
            placeholders=header.keys,
            tape=Inner.of(header).replaying(inner, durability=header.durability, redact=header.redact)
            if inner is not None
            else None,
        )
    allowed = _all_names(live)
    rules = UpstreamRules.read(os.environ, prefixes=environment.upstreams, allow_live=allowed)
    redactor = Redactor(
        header.redaction,
        extra_values=[*credential_values(environment.variables), *credential_arguments(argv or header.command)],
        personal=header.redact == "pii",
        detectors=detectors.detectors(header.detectors),
    )
    began_ns = wall_ns()
    facts = RunFacts(
        began_ns,
        tuple(argv or header.command),
        environment.variables.get("TMPDIR") or tempfile.gettempdir(),
        Given(argv or header.command, str(cwd or Path.cwd()), environment.variables, began_ns),
        time.localtime().tm_gmtoff,
    )
    launcher_pid = os.getpid()

    def service() -> ReplayService:
        return ReplayService(
            listener,
            authority,
            rules,
            recording,
            redactor=redactor,
            facts=facts,
            masks=Masks(),
            strict=options.strict,
            speed=options.speed,
            launcher_pid=launcher_pid,
            diagnosis=enclosed.diagnosis if enclosed is not None else None,
            forwards=enclosed.forwards if enclosed is not None else (),
            gated=os.environ.get("PLAYHEAD_GATE") != "off",
            inner=inner,
        )

    engine = EngineProcess.start(service, keep=_kept(listener, enclosed, recording))
    run = _Run(recording, engine, redactor)
    bypasses = Bypasses(
        listener.getsockname()[1], allowed=lambda host, port: (host, port) in allowed or (host, None) in allowed
    )
    inputs = inputs_of((c.fd, c.data) for c in recording.stdio)
    with Launcher(run.output, recorded_input=inputs) as launcher:
        child = launcher.start(
            Command(tuple(command), environment.variables, cwd),
            _stdio(header.stdio, header.terminal),
            enclosure=enclosed,
            watching=bypasses.plan(Privileges.GIVE_UP),
        )
        bypasses.watch(
            launcher,
            child,
            engine.pid,
            deny=True,
            diagnosis=enclosed.diagnosis if enclosed is not None else None,
            walled=enclosed is not None,
        )
        run.mind(launcher, child.pid)
        status = launcher.run()
        run.left = _end_leftovers(launcher, bypasses, recording, halted=bool(run.halted))
        bypasses.close()
    done = engine.finish() if engine.alive else None
    if enclosed is not None:
        enclosed.close()
    else:
        listener.close()
    isolation = "namespace" if enclosed else {"watch": "hooks", "observe": "observed"}.get(bypasses.how, "none")
    unheld = set() if enclosed or bypasses.how == "watch" else _passed_by(recording, allowed)
    inside = judge_inside(recording, reports_inside(inner) if inner is not None else ())
    if inner is not None:
        inside.slips = slips(inner, recording.inside, knows=bypasses.knows, refused=(DATAGRAM,))
    said = said_inside(inner) if inner is not None else ()
    notes = [f"playhead: note: {each}" for each in (*environment.notes, *said)]
    return _judge(session, status, done, run, inside, bypasses, unheld, options, facts, isolation, notes)


class _Run:
    """What the launcher collects while the command runs, and how it is ended when the player says so."""

    def __init__(self, recording: Recording, engine: EngineProcess, redactor: Redactor) -> None:
        self.halted = ""
        self.stdout: list[bytes] = []
        self.engine = engine
        self.trouble = ""
        self.left: list[str] = []  # programs that were still running, and not so when it was recorded
        self._recording = recording
        self._stream = redactor.stream()
        self._halted_ns = 0
        self._child = 0
        self._launcher: Launcher | None = None

    def mind(self, launcher: Launcher, child: int) -> None:
        self._child, self._launcher = child, launcher
        launcher.control(self.engine.channel, self._heard)
        launcher.watch_child(self.engine.pid, self._engine_gone)
        launcher.every(0.1, self._press)
        self.engine.say(child=child)

    def output(self, fd: int, data: bytes) -> None:
        """A piece of a standard stream, before it is passed on."""
        if fd == 1:
            self.stdout.append(self._stream.feed(data).data)

    def whole_stdout(self) -> bytes:
        """All of it, redacted as the recording's was."""
        self.stdout.append(self._stream.close())
        return b"".join(self.stdout)

    def remarks(self) -> list[str]:
        """What there is to say of it beside the verdict."""
        left = f"still running when the command ended, and ended by the replay: {', '.join(self.left)}"
        return [*([left] if self.left else []), *([self.trouble] if self.trouble else [])]

    def _heard(self, data: bytes) -> None:
        for message in self.engine.messages(data):
            if "halt" in message and not self.halted:
                self.halted = str(message["halt"])
                self._halted_ns = monotonic_ns()
            if "trouble" in message:
                self.trouble = str(message["trouble"])

    def _engine_gone(self, status: int) -> None:  # noqa: ARG002
        """A replay fails closed: without a player there is nothing left to ask."""
        self.engine.alive = False
        self.trouble = self.trouble or "the player died"
        self.halted = "the player died"
        self._halted_ns = monotonic_ns() - GRACE_NS

    def _press(self) -> None:
        """After a halt the command may end by itself, then it is asked to, then it is made to."""
        if not self._halted_ns or self._launcher is None or self._launcher.has_ended:
            return
        waited = monotonic_ns() - self._halted_ns
        if waited > GRACE_NS + KILL_NS:
            _signal(self._child, signal.SIGKILL)
        elif waited > GRACE_NS or self.halted == "the recording ends here":
            _signal(self._child, signal.SIGTERM)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _judge(
    session: Session,
    status: ExitStatus,
    done: Mapping[str, Any] | None,
    run: _Run,
    inside: Inside,
    bypasses: Bypasses,
    unheld: set[str],
    options: ReplayOptions,
    facts: RunFacts,
    isolation: str,
    notes: Sequence[str],
) -> Outcome:
    """The verdict: `identical` only when everything says so."""
    recording = session.recording
    unplayed = sorted([*done["unplayed"], *inside.steps]) if done else [s.number for s in session.steps]
    divergences = in_order(
        done["divergences"] if done else (),
        inside.divergences,
        strict=options.strict,
        missing=done["missing"] if done and recording.has_exit else (),
        unplayed=unplayed,
    )
    blocked = sorted({*(done["blocked"] if done else ()), *(bypasses.refused())})
    not_playable = [s.number for s in session.steps if not s.is_playable]
    leaked = sorted({*bypasses.leaked(), *unheld, *(slip.place for slip in inside.slips)})
    holes = [*recording.incomplete, *([] if recording.has_exit else ["the recorded run was cut off"])]
    if recording.damage:
        holes.append(f"{len(recording.damage)} records of the recording are damaged")
    output = compare_output(recording, run.whole_stdout(), facts)
    exit_same = status.code == recording.exit_code and status.signal == recording.exit_signal
    if done is None:
        verdict, code = "failed", FAILED
    elif blocked:
        verdict, code = ("diverged" if divergences else "incomplete"), BLOCKED
    elif divergences or (not options.ignore_output and not (output.identical and exit_same)):
        verdict, code = "diverged", DIVERGED
    elif unplayed or inside.unplayed or not_playable or leaked or run.left or holes:
        verdict, code = "incomplete", DIVERGED
    else:
        verdict, code = "identical", 0
    if recording.damage and code in (DIVERGED, BLOCKED):
        code = DAMAGED
    reports = [*(str(d.pop("report")) for d in divergences), report(inside.slips)]
    for each in divergences:
        del each["at_ns"]
    divergences += [slip.divergence() for slip in inside.slips]
    summary = _summary(session, code, verdict)
    summary |= {
        "duration_s": round(status.duration_s, 6),
        "served": (done["served"] if done else 0) + inside.served(recording),
        "blocked": blocked,
        "leaked": leaked,
        "unplayed": unplayed + [n for n in not_playable if n not in unplayed],
        "ambiguous": done["ambiguous"] if done else [],
        "tools_rerun": session.tools_shown(),
        "masks": done["masks"] if done else [],
        "stdout_identical": output.identical,
        "stdout_masked": output.masked,
        "exit_code_identical": exit_same,
        "isolation": isolation,
        "order_unobserved": (done["order_unobserved"] if done else 0)
        + sum(e.order_unobserved for e in recording.exchanges),
        "divergences": divergences,
    }
    remarks = [*notes, *reports]
    if not output.identical and not divergences:
        remarks.append(output.report)
    if not exit_same and not divergences:
        remarks.append(f"exit code {status.shell_code} where the recording has {_shell_code(recording)}")
    remarks += [f"the recording is not whole: {hole}" for hole in holes]
    remarks += [*run.remarks(), *inside.unplayed]
    return Outcome(code, summary, [r for r in remarks if r])


def _end_leftovers(launcher: Launcher, bypasses: Bypasses, recording: Recording, *, halted: bool) -> list[str]:
    """End what the command left running. The programs that the recorded run did not leave behind."""
    known = [item.host for item in recording.uncaptured if item.reason == STILL_RUNNING]
    left = await_leftovers(launcher, bypasses.tree, 0 if halted else LINGER_S if known else LINGER_REPLAY_S)
    if left:
        end_leftovers(launcher, bypasses.tree)
    return sorted({each.name for each in left} - set(known))


def _shell_code(recording: Recording) -> int | str:
    if recording.exit_signal:
        return 128 + recording.exit_signal
    return "none: it was cut off" if recording.exit_code is None else recording.exit_code


def _summary(session: Session, code: int, verdict: str) -> dict[str, Any]:
    """The summary of a replay of which nothing is known yet but its verdict."""
    return {
        **session_summary(session, command="replay", exit_code=code, exit_source="playhead"),
        "verdict": verdict,
        "answers": session.answers(),
        "served": 0,
        "live": 0,
        "blocked": [],
        "leaked": [],
        "unplayed": [],
        "ambiguous": [],
        "tools_rerun": [],
        "masks": [],
        "origin": session.header.origin,
        "stdout_identical": False,
        "stdout_masked": [],
        "exit_code_identical": False,
        "isolation": "none",
        "order_unobserved": 0,
        "divergences": [],
    }


def _refused(session: Session, lossy: list[int]) -> Outcome:
    """A strict replay of answers that are no longer what the agent read would claim too much."""
    summary = _summary(session, DIVERGED, "incomplete") | {"duration_s": 0.0}
    summary["unplayed"] = [s.number for s in session.steps]
    steps = ", ".join(map(str, lossy[:8])) + (", …" if len(lossy) > 8 else "")
    remark = (
        f"step {steps}: a secret in the answer was replaced before it was written, so the agent would not read what it "
        "once read.\n  next:     playhead replay --allow-lossy …"
    )
    return Outcome(DIVERGED, summary, [remark])


def _environment(recorded: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """This environment, completed by what the recording had and this one lacks, secrets apart. Settings of the agent are
    as recorded: it reads them again. What belongs to the machine, proxies and roots too, is as it is here."""
    kept = {name: value for name, value in recorded.items() if "<redacted:" not in value}
    here = {*PROXY_NAMES, *NO_PROXY_NAMES, *BUNDLE_NAMES, *ADDED_CA_NAMES}
    settings = {name: value for name, value in portable_environment(kept).items() if name not in here}
    if "PLAYHEAD_CLOCKS" in recorded:
        settings["PLAYHEAD_CLOCKS"] = recorded["PLAYHEAD_CLOCKS"]
    return {**kept, **now, **settings}


def _stdio(kinds: Sequence[str], terminal: Sequence[int] | None) -> Stdio:
    """The kinds of streams the recording had, whatever ours are."""
    stdin, stdout, stderr = (Kind(kind) for kind in kinds)
    return Stdio((stdin, stdout, stderr), Size(*terminal) if terminal else None)


def _recorded_directory(cwd: str) -> Path:
    path = Path(cwd)
    if not path.is_dir():
        raise SetupError(
            "The directory of the recorded command is not there.",
            code="directory-missing",
            where=cwd,
            todo="run it where you are: playhead replay SESSION -- CMD",
        )
    return path


def _listen_near(port: int) -> Any:
    """A listener on the recorded port, or on any when that is taken."""
    try:
        return listen(port)
    except SetupError:
        return listen(0)


def _kept(listener: Any, network: Namespace | None, recording: Recording) -> set[int]:
    kept = {listener.fileno()}
    if recording.descriptor is not None:
        kept.add(recording.descriptor)
    if network is not None:
        kept |= {network.diagnosis.fileno(), *(sock.fileno() for _, sock in network.forwards)}
    return kept


def _live_place(text: str) -> tuple[str, int | None]:
    if text.startswith(("unix:/", "unix:@")):
        return text, None
    split = split_host_port(text, 0)
    if split is None:
        raise UsageError(
            f"{text!r} is no place.",
            code="bad-allow-live",
            where=f"--allow-live {text}",
            expected="HOST, HOST:PORT or unix:/PATH",
            todo="for example: --allow-live 127.0.0.1:5432",
        )
    host, port = split
    return host, port or None


def _passed_by(recording: Recording, allowed: Sequence[tuple[str, int | None]]) -> set[str]:
    """Places the recorded run connected to directly: where nothing holds the command back, it has done so again."""
    direct = {item.host for item in recording.uncaptured if item.reason == DIRECT}
    places = {place: split_host_port(place) or (place, 0) for place in direct}
    return {p for p, (host, port) in places.items() if (host, port) not in allowed and (host, None) not in allowed}


def _all_names(live: Sequence[tuple[str, int | None]]) -> list[tuple[str, int | None]]:
    """The places, those of this machine by all its names: one client asks for `localhost`, the next has resolved it."""
    return [*live, *((name, port) for host, port in live if _is_here(host) for name in _HERE)]


def _is_here(host: str) -> bool:
    return host in _HERE
