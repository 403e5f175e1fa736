"""What the doctor says of a machine and of settings, part by part. Its command is tested in tests/e2e."""

import datetime as dt
import subprocess
import sys

import pytest

from playhead.capture.process.isolate import Unavailable
from playhead.capture.wire import certificates, switchboard
from playhead.capture.wire.authority import Authority
from playhead.runs import doctor
from playhead.runs.bypass import DIRECT
from playhead.runs.doctor import FAILURE, OK, WARNING, advice, check_settings


def check(root, name):
    """The one check of that name."""
    return next(each for each in doctor._store(root) if each.name == name)


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    """Looking leaves nothing behind."""
    seen = check(tmp_path / "a" / "store", "store")
    assert (seen.status, str(tmp_path / "a" / "store") in seen.found) == (OK, True)
    assert not (tmp_path / "a").exists()


def test_a_store_that_is_a_file(tmp_path):
    """A failure, with another store as the way out."""
    (tmp_path / "store").touch()
    seen = check(tmp_path / "store", "store")
    assert seen.status == FAILURE
    assert "--store" in seen.todo


def test_a_disk_with_little_room(tmp_path, monkeypatch):
    """A warning before a recording ends early."""
    monkeypatch.setattr(doctor, "_LITTLE_ROOM", 1 << 62)
    assert check(tmp_path, "store").status == WARNING


def test_the_authority_and_its_last_day(tmp_path):
    """Absent is well, since it is made; valid is dated; expired is a failure."""
    assert check(tmp_path, "authority").status == OK
    Authority.open(tmp_path / "ca")
    end = dt.datetime.now(dt.UTC) + certificates.AUTHORITY_LIFETIME
    assert end.date().isoformat() in check(tmp_path, "authority").found
    key = (tmp_path / "ca" / "ca.key").read_bytes()
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=9)
    (tmp_path / "ca" / "ca.pem").write_bytes(
        certificates.sign_authority(key, lifetime=dt.timedelta(days=1), now=long_ago)
    )
    seen = check(tmp_path, "authority")
    assert (seen.status, "playhead init" in seen.todo) == (FAILURE, True)


@pytest.mark.parametrize(
    ("refusals", "words", "status"),
    [
        ({"keep": "", "give-up": ""}, "hooks", OK),
        ({"keep": "Permission denied", "give-up": ""}, "hooks", OK),
        ({"keep": "Permission denied", "give-up": "Function not implemented"}, "observed", WARNING),
    ],
)
def test_isolation_without_namespaces(monkeypatch, refusals, words, status):
    """The next best is named, and the reason why not the best."""
    monkeypatch.setattr(doctor, "isolate", lambda: Unavailable("entering: Operation not permitted"))
    monkeypatch.setattr(doctor, "_watch_refused", lambda privileges: refusals[privileges])
    replay, watched = doctor._isolation()
    assert replay.status == status
    assert replay.found.startswith(words)
    assert "Operation not permitted" in replay.found
    assert watched.status == (WARNING if refusals["keep"] else OK)


def test_the_watch_is_tried_for_real():
    """In a process of its own: whatever this machine says, it is an answer, and the asker is not watched by it."""
    program = (
        "from playhead.runs.doctor import _watch_refused\nfrom playhead.capture.process.watch import Privileges\n"
        "import socket\nprint(repr(_watch_refused(Privileges.GIVE_UP)))\n"
        "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()); print('connected')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.endswith("'\nconnected\n")


def test_no_order_without_proc(monkeypatch):
    """Said where concurrent calls cannot be ordered."""
    monkeypatch.setattr(doctor.linux, "IS_LINUX", False)
    assert doctor._order().status == WARNING


def test_credentials_of_settings_are_not_shown():
    """A proxy's password, a key in a URL."""
    key = "sk-proj-" + "a1B2c3D4" * 6
    environ = {"HTTPS_PROXY": "http://me:hunter2@proxy:3128", "OPENAI_BASE_URL": f"http://gateway/{key}/v1"}
    said = repr(check_settings(environ))
    assert "hunter2" not in said
    assert key not in said
    assert "proxy:3128" in said


def test_settings_with_one_value_are_one_entry(tmp_path):
    """And each kind says what becomes of it."""
    bundle = tmp_path / "roots.pem"
    bundle.touch()
    environ = {
        "SSL_CERT_FILE": str(bundle),
        "REQUESTS_CA_BUNDLE": str(bundle),
        "AWS_CA_BUNDLE": "/nowhere.pem",
        "NO_PROXY": "localhost",
        "no_proxy": "localhost",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:1",
        "NODE_OPTIONS": "--max-old-space-size=4096",
        "UNRELATED": "x",
    }
    found = {tuple(setting.names): setting for setting in check_settings(environ)}
    assert found["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"].status == OK
    assert found[("AWS_CA_BUNDLE",)].status == WARNING
    assert "no such file" in found[("AWS_CA_BUNDLE",)].effect
    assert ("NO_PROXY", "no_proxy") in found
    assert "SigV4" in found[("AWS_ENDPOINT_URL_BEDROCK_RUNTIME",)].effect
    assert "kept" in found[("NODE_OPTIONS",)].effect
    assert not any("UNRELATED" in names for names in found)


def test_a_proxy_that_cannot_be_used_is_a_failure():
    """As `record` would refuse it."""
    (setting,) = check_settings({"ALL_PROXY": "socks5://me:hunter2@proxy:1080"})
    assert (setting.names, setting.status) == (["ALL_PROXY"], FAILURE)
    assert "hunter2" not in repr(setting)


def test_every_reason_has_an_advice():
    """Of all the reasons why a recording may miss something, save those that the user asked for."""
    asked_for = {switchboard.IGNORED, switchboard.ALLOWED, switchboard.BLOCKED}
    reasons = {
        value for name, value in vars(switchboard).items() if name.isupper() and isinstance(value, str)
    } - asked_for
    assert len(reasons) >= 6
    assert not [reason for reason in (*reasons, DIRECT, "h2: recorded, not replayable yet") if not advice(reason)]


@pytest.mark.parametrize(
    ("tried", "words", "status"),
    [
        ('print(\'{"httpx 1.0": true, "aiohttp 4.0": true}\')', "hears httpx 1.0, aiohttp 4.0", OK),
        ('print(\'{"httpx 1.0": true, "aiohttp 4.0": false}\')', "does not begin: aiohttp 4.0", WARNING),
        ("raise SystemExit(3)", "could not be tried", WARNING),
        ("print('what?')", "could not be tried", WARNING),
    ],
)
def test_the_libraries_that_are_heard_in_this_python(monkeypatch, tried, words, status):
    """Named with their versions; one that is not heard, with the way that needs no hearing."""
    monkeypatch.setattr(doctor, "_TRY", tried)
    seen = doctor._in_process()
    assert (seen.status, words in seen.found) == (status, True)
    assert ("playhead record -- CMD" in seen.todo) == (status == WARNING)
