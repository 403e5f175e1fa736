"""What `playhead doctor` finds out: whether this machine can record and replay, the user's settings that matter, and,
by a canary recording that is thrown away, what of a real command would be captured."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from playhead import __version__
from playhead.capture.base_urls import VARIABLES
from playhead.capture.environment import ADDED_CA_NAMES, BUNDLE_NAMES, NO_PROXY_NAMES, PROXY_NAMES
from playhead.capture.process import linux, watch
from playhead.capture.process.isolate import Unavailable, isolate
from playhead.capture.wire.authority import Authority, system_roots
from playhead.capture.wire.rules import UpstreamRules
from playhead.core.clock import rfc3339
from playhead.core.redact import Redactor
from playhead.errors import PlayheadError
from playhead.journal.store import Store
from playhead.runs.record import RecordOptions, listen, record
from playhead.sessions.reader import read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OK, WARNING, FAILURE = "ok", "warning", "failure"
_LITTLE_ROOM = 200 << 20  # bytes; a long session with large prompts takes some ten megabytes
NOTHING_CAPTURED, MISSED = 4, 1
_HOOKS = ("NODE_OPTIONS", "PYTHONPATH", "JAVA_TOOL_OPTIONS")


class Check(NamedTuple):
    """One thing about this machine: `status` is ok, warning (something works less well) or failure (no recording)."""

    name: str
    status: str
    found: str
    todo: str = ""


class Setting(NamedTuple):
    """Variables of the user's with one value (no credentials in it), and what becomes of them in a recording."""

    names: list[str]
    value: str
    effect: str
    status: str = OK


def check_machine(root: Path) -> list[Check]:
    """Everything a recording and a replay need of this machine. `root` is the store's; it is not made here."""
    return [
        *_store(root),
        _roots(),
        _attempt("listener", "", _listens),
        *_isolation(),
        _order(),
        _loop(),
        _in_process(),
    ]


def _attempt(name: str, todo: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, OK, look())
    except PlayheadError as error:
        seen = f" ({error.seen})" if error.seen else ""
        return Check(name, FAILURE, f"{error.what.rstrip('.')}{seen}: {error.where}", error.todo or todo)


def _listens() -> str:
    listen(0).close()
    return "127.0.0.1, any free port"


def _store(root: Path) -> list[Check]:
    if not root.exists():
        above = next(folder for folder in root.absolute().parents if folder.exists())
        if os.access(above, os.W_OK | os.X_OK):
            return [Check("store", OK, f"none yet; the first recording makes {root}")]
        return [Check("store", FAILURE, f"{root}: {above} cannot be written", "name another: --store DIR")]
    try:
        store = Store.open(root)
    except PlayheadError as error:
        return [Check("store", FAILURE, f"{root}: {error.seen}", error.todo)]
    described = os.statvfs(root)
    free = described.f_bavail * described.f_frsize
    room = f"{root} ({free / 1e9:.1f} GB free)"
    few = free < _LITTLE_ROOM
    return [
        Check(
            "store", WARNING if few else OK, room, "free some space: a full disk ends a recording early" if few else ""
        ),
        _attempt("authority", "playhead init", lambda: _valid_until(store)),
    ]


def _valid_until(store: Store) -> str:
    if not (store.authority / "ca.pem").exists():
        return "none yet; the first recording makes one"
    certificate = Authority.open(store.authority, create=False).certificate_path
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=certificate)
    end = ssl.cert_time_to_seconds(str(context.get_ca_certs()[0]["notAfter"]))
    return f"valid until {rfc3339(end * 1_000_000_000)[:10]}, {certificate}"


def _roots() -> Check:
    for path in system_roots():
        with contextlib.suppress(OSError):
            count = path.read_bytes().count(b"-----BEGIN CERTIFICATE-----")
            return Check("system roots", OK, f"{count} certificates in {path}")
    return Check(
        "system roots",
        WARNING,
        "none found, so no host's certificate can be checked",
        "install the system's CA certificates, or set SSL_CERT_FILE",
    )


def _isolation() -> list[Check]:
    network = isolate()
    told = _watch_refused(watch.Privileges.KEEP)
    if not isinstance(network, Unavailable):
        network.close()
        replay = Check("replay isolation", OK, "namespace: a replayed command has no network but the recording")
    elif not _watch_refused(watch.Privileges.GIVE_UP):
        replay = Check(
            "replay isolation", OK, f"hooks: connections are refused one by one (no namespace: {network.reason})"
        )
    else:
        replay = Check(
            "replay isolation",
            WARNING,
            f"observed: connections are seen only after they were made (no namespace: {network.reason})",
            "permit user namespaces to this user, or replay where they are",
        )
    if not told:
        return [replay, Check("connect watch", OK, "the kernel tells of every connection past the recorder")]
    found = f"not while recording ({told}): connections past the recorder are looked for every 20 ms"
    return [
        replay,
        Check(
            "connect watch", WARNING, found, "a connection shorter than that may go unnamed; record as root to see it"
        ),
    ]


def _watch_refused(privileges: watch.Privileges) -> str:
    """Why the kernel tells us of no connections, empty when it does. Tried in a child, which it would stay on."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            watch.install(privileges)
        except OSError as error:
            os.write(writing, (error.strerror or str(error)).encode() or b"refused")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as said:  # noqa: PTH123
        refusal = said.read().decode()
    os.waitpid(pid, 0)
    return refusal


def _order() -> Check:
    if linux.IS_LINUX and os.access("/proc/self/task", os.R_OK) and os.access("/proc/net/tcp", os.R_OK):
        return Check("completion order", OK, "observed, and re-imposed in replay")
    return Check(
        "completion order",
        WARNING,
        f"not observable on {platform.system()}: concurrent calls may come back in another order in replay",
        "record and replay agents with concurrent calls on Linux, where /proc can be read",
    )


def _loop() -> Check:
    if importlib.util.find_spec("uvloop") is None:
        return Check("event loop", WARNING, "the standard one: some overhead more a call", "pip install uvloop")
    return Check("event loop", OK, "uvloop")


def _in_process() -> Check:
    """Whether the libraries here are heard without an engine: each asks nobody, in a process of its own."""
    name = "in-process HTTP"
    try:
        ran = subprocess.run([sys.executable, "-P", "-c", _TRY], capture_output=True, timeout=_PATIENCE_S, check=True)
        heard: dict[str, bool] = json.loads(ran.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Check(name, WARNING, f"could not be tried: {error}", _BY_RECORD)
    deaf = [each for each, is_heard in heard.items() if not is_heard]
    if deaf:
        return Check(
            name,
            WARNING,
            f"not heard, so that a block with one of them loaded does not begin: {', '.join(deaf)}",
            _BY_RECORD,
        )
    return Check(name, OK, f"playhead.record() hears {', '.join(heard)}")


_BY_RECORD = "record such a program by the command, playhead record -- CMD, or use another version of it"
_PATIENCE_S = 30.0
_TRY = """
import json
from playhead.capture.boundary.transports.canary import try_all
print(json.dumps(try_all()))
"""


def check_settings(environ: Mapping[str, str]) -> list[Setting]:
    """The variables that are set and matter, grouped by value; values without credentials."""
    found: list[Setting] = []

    def add(names: Sequence[str], effect: str) -> None:
        values: dict[str, list[str]] = {}
        for name in names:
            if environ.get(name):
                values.setdefault(environ[name], []).append(name)
        for value, bearers in values.items():
            missing = effect is _JOINED and not Path(value).is_file()
            found.append(
                Setting(
                    bearers,
                    _harmless_value(value),
                    "there is no such file; what it was to add is left out" if missing else effect,
                    WARNING if missing else OK,
                )
            )

    try:
        UpstreamRules.read(environ)
    except PlayheadError as error:
        found.append(Setting([error.where], error.seen, f"{error.what} Next: {error.todo}", FAILURE))
    else:
        add(PROXY_NAMES, "the recorder itself goes out by it")
    add(NO_PROXY_NAMES, "honoured by the recorder; the command sees it empty, so that nothing goes past")
    add([*BUNDLE_NAMES, *ADDED_CA_NAMES], _JOINED)
    add(list(VARIABLES), "the command sees the recorder's address in its place; calls go on to this one")
    add(
        [n for n in environ if n.startswith("AWS_ENDPOINT_URL")],
        "left as it is, since SigV4 signs host and path: by proxy",
    )
    add(_HOOKS, "kept, with ours added")
    return found


_JOINED = "joined with the recorder's own authority for the command"


def _harmless_value(value: str) -> str:
    """A value without the user and password of a URL, nor anything shaped like a secret."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(value)
        if "@" in parts.netloc:
            value = urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))
    return Redactor().message().text(value)


def canary(argv: Sequence[str]) -> tuple[dict[str, Any], int]:
    """Record `argv` into a store that is deleted at once. Returns what was captured and missed, and the exit code:
    0 all, 1 something was missed, 4 nothing was captured. Raises as `record` does."""
    with tempfile.TemporaryDirectory(prefix="playhead-doctor-") as folder:
        store = Store.open(Path(folder))
        outcome = record(store, argv, RecordOptions(allow_empty=True))
        recording = read_recording(store.path(str(outcome.summary["session"])))
    calls = Counter((exchange.target.authority, exchange.route) for exchange in recording.exchanges)
    failed = Counter(e.target.authority for e in recording.exchanges if not e.chunks)
    details = {e.target.authority: e.detail for e in recording.exchanges if e.detail and not e.chunks}
    missed = [{**item, "todo": advice(str(item["reason"]))} for item in outcome.summary["not_captured"]] + [
        {"host": "", "reason": remark, "bytes": 0, "todo": ""} for remark in recording.incomplete
    ]
    found = {
        "command": recording.header.command,
        "exit_code": outcome.summary["exit_code"],
        "duration_s": outcome.summary["duration_s"],
        "llm_calls": outcome.summary["llm_calls"],
        "tool_calls": outcome.summary["tool_calls"],
        "routes": outcome.summary["routes"],
        "captured": [
            {"host": host, "route": route, "calls": count, "unanswered": failed[host], "detail": details.get(host, "")}
            for (host, route), count in calls.items()
        ],
        "not_captured": missed,
    }
    is_empty = not calls and not outcome.summary["steps"]
    return found, NOTHING_CAPTURED if is_empty else MISSED if missed else 0


def advice(reason: str) -> str:
    """What to do about traffic that was not captured, by the reason that a summary gives."""
    for words, todo in _ADVICE:
        if words in reason:
            return todo
    return ""


_ADVICE = (
    (
        "went past the recorder",
        "an HTTP client that reads neither proxy nor CA variables: set its base-URL variable. No HTTP: --allow-live in replay",
    ),
    (
        "pinned certificate",
        "the client trusts only its own certificates: turn that off for recording, or use a base URL",
    ),
    ("closed after the TLS handshake", "the client may not trust the recorder: see the variable it reads above"),
    ("no server name", "call the host by its name, not by its address"),
    ("not HTTP", "only HTTP is recorded; in replay this place has to be allowed: --allow-live HOST:PORT"),
    ("not replayable yet", "it is in the recording; a replay will name it and not be identical"),
    ("no certificate can be made", "the host's name cannot stand in a certificate: use a base URL"),
    (
        "a request that cannot be read",
        "its head breaks HTTP's rules, so no proxy may pass it on: report it to the client's makers",
    ),
    ("no such base URL", "the address under the recorder's own port names nothing: check the base-URL variable"),
)


def describe() -> dict[str, str]:
    """What Playhead is running on."""
    return {"playhead": __version__, "python": platform.python_version(), "platform": platform.platform()}
