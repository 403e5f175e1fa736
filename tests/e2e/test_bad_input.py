"""Bad input: each a clear error that says what to do, with the right exit code, and never a traceback."""

import contextlib
import ctypes
import datetime as dt
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from playhead.capture.wire import certificates
from playhead.journal.sealed import read_sealed
from playhead.journal.sealing import write_sealed
from playhead.journal.segment import SegmentWriter
from tests.support.executable import PLAYHEAD, plain_environment, playhead
from tests.support.model_server import ModelServer

ERROR = re.compile(r"error\[([a-z-]+)\]: \S.*")
BEAT = re.compile(r"  (where|expected|seen|next): +\S")
TRUE = shutil.which("true") or "/bin/true"
_PR_CAPBSET_DROP = 24
_CAPABILITIES_OVER_FILES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@pytest.fixture(scope="module")
def server():
    """One model server for all."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def env(tmp_path):
    """A plain environment with a home and a store of its own."""
    return plain_environment(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with three sessions: two named `twin`, one that printed something; their file names."""
    home = tmp_path_factory.mktemp("made")
    own = plain_environment(home)
    for name in ("twin", "twin", "other"):
        done = playhead("record", "--allow-empty", "--name", name, "--", "sh", "-c", f"echo {name}", env=own)
        assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def store(made, tmp_path):
    """A copy of that store, to be damaged."""
    shutil.copytree(made / "store", tmp_path / "store")
    return tmp_path / "store"


def tape(store):
    return min((store / "sessions").glob("*.tape"))


def refused(done, code, exit_code, *, says=()):
    """Assert that a run ended in one error of four beats, with this code and exit code, that says these words."""
    assert "Traceback" not in done.stderr
    errors = ERROR.findall(done.stderr)
    assert errors == [code], done.stderr
    lines = done.stderr[done.stderr.index("error[") :].splitlines()
    assert all(BEAT.match(line) for line in lines[1:]), done.stderr
    assert lines[-1].startswith("  next:"), done.stderr
    assert done.returncode == exit_code
    for words in says:
        assert words in done.stderr
    return done


def without_power_over_files():
    """Make permissions count for root, too, in a child and all it starts."""
    if os.geteuid() == 0:
        prctl = ctypes.CDLL(None).prctl
        for capability in _CAPABILITIES_OVER_FILES:
            if prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError("cannot drop a capability")


# the command line ----------------------------------------------------------------------------------------------------


def test_unknown_command(env):
    """Named, with all there are."""
    refused(playhead("frobnicate", env=env), "unknown-command", 2, says=["frobnicate", "record, replay"])


def test_mistyped_command(env):
    """The nearest is proposed."""
    refused(playhead("recrod", "--", "true", env=env), "unknown-command", 2, says=["did you mean: playhead record"])


def test_a_program_in_place_of_a_command(env):
    """Who forgot `record` is told so, with their own arguments quoted."""
    done = playhead("python", "agent.py", "two words", env=env)
    refused(done, "unknown-command", 2, says=["playhead record -- python agent.py 'two words'"])


def test_unknown_option(env):
    """Of a command that exists."""
    done = playhead("record", "--frobnicate", "--", "true", env=env)
    refused(done, "usage", 2, says=["--frobnicate", "playhead record --help"])


def test_no_command_to_record(env):
    """An example of one is given."""
    refused(playhead("record", env=env), "no-command", 2, says=["playhead record -- python agent.py"])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--map", "api.openai.com"], "bad-map", ["HOST=URL"]),
        (["--map", "api.openai.com=ftp://elsewhere"], "bad-map", ["HOST=URL"]),
        (["--map", "api.openai.com=http://127.0.0.1:99999"], "bad-map", ["HOST=URL"]),
        (["--tag", "team"], "bad-tag", ["KEY=VALUE"]),
        (["--tag", "=billing"], "bad-tag", ["KEY=VALUE"]),
        (["--name", "a:b"], "bad-name", ["a:b"]),
        (["--name", "last"], "bad-name", ["last"]),
        (["--name", "with\x1bescape"], "bad-name", ["\\x1b"]),
        (["--upstream-ca", "/nowhere/ca.pem"], "upstream-ca", ["/nowhere/ca.pem"]),
        (["--summary", "/nowhere/summary.json"], "summary-unwritable", ["/nowhere/summary.json"]),
        (["--port", "70000"], "usage", ["--port"]),
        (["--durability", "sometimes"], "usage", ["sometimes"]),
    ],
)
def test_bad_option_of_record(env, tmp_path, arguments, code, says):
    """Said before anything has run, with nothing left behind."""
    done = playhead("record", *arguments, "--", "touch", tmp_path / "ran", env=env)
    refused(done, code, 2, says=says)
    assert not (tmp_path / "ran").exists()
    assert "\x1b" not in done.stderr
    assert list((tmp_path / "store" / "sessions").glob("*")) == []


def test_upstream_ca_that_holds_no_certificate(env, tmp_path):
    """Found at the start, not at the first call."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    done = playhead("record", "--upstream-ca", tmp_path / "ca.pem", "--", "true", env=env)
    refused(done, "upstream-ca", 2, says=[str(tmp_path / "ca.pem")])


def test_own_proxy_of_another_kind(env):
    """A SOCKS proxy is said, and its password is not."""
    done = playhead("record", "--", "true", env=env | {"HTTPS_PROXY": "socks5://me:hunter2@127.0.0.1:1"})
    refused(done, "proxy-unsupported", 2, says=["HTTPS_PROXY"])
    assert "hunter2" not in done.stderr


def test_bad_allow_live(store, env):
    """Of replay."""
    refused(playhead("replay", "other", "--allow-live", "a:b:c", env=env), "bad-allow-live", 2)


def test_summary_of_a_replay_that_cannot_be_written(store, env, tmp_path):
    """Said before the command runs again."""
    done = playhead("replay", "other", "--summary", "/nowhere/s.json", "--", "touch", tmp_path / "ran", env=env)
    refused(done, "summary-unwritable", 2)
    assert not (tmp_path / "ran").exists()


# the command to run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-such-program", "/nowhere/program", "./program"])
def test_missing_executable(env, tmp_path, name):
    """127, as a shell says it, and no session."""
    refused(playhead("record", "--", name, env=env, cwd=tmp_path), "command-not-found", 127, says=[name])
    assert json.loads(playhead("list", "--json", env=env).stdout) == []


def test_file_that_is_not_executable(env, tmp_path):
    """126, and what to check."""
    (tmp_path / "agent").write_text("#!/bin/sh\n")
    done = playhead("record", "--", tmp_path / "agent", env=env)
    refused(done, "command-not-executable", 126, says=["permissions"])
    refused(playhead("record", "--", tmp_path, env=env), "command-not-executable", 126)
    assert json.loads(playhead("list", "--json", env=env).stdout) == []


def test_interpreter_that_is_missing(env, tmp_path):
    """A script whose first line names nothing."""
    (tmp_path / "agent").write_text("#!/nowhere/python\n")
    (tmp_path / "agent").chmod(0o755)
    refused(playhead("record", "--", tmp_path / "agent", env=env), "command-not-found", 127)


def test_missing_and_not_executable_at_replay(store, env, tmp_path):
    """The same two codes."""
    refused(playhead("replay", "other", "--", "no-such-program", env=env), "command-not-found", 127)
    (tmp_path / "agent").write_text("#!/bin/sh\n")
    refused(playhead("replay", "other", "--", tmp_path / "agent", env=env), "command-not-executable", 126)


def test_recorded_command_that_is_gone(env, tmp_path):
    """At replay; another can be named."""
    agent = tmp_path / "agent"
    agent.write_text("#!/bin/sh\necho hello\n")
    agent.chmod(0o755)
    assert playhead("record", "--allow-empty", "--", agent, env=env).returncode == 0
    agent.unlink()
    refused(playhead("replay", "last", env=env), "command-not-found", 127, says=[str(agent)])


def test_arguments_that_are_no_file_names(env):
    """A whole program, longer than a file's name may be, an empty one, a directory: recorded and replayed as they are."""
    command = [sys.executable, "-c", "print('hello')\n" + "# more\n" * 1000, "", "/", "\udcff", "../" * 2000]
    done = playhead("record", "--allow-empty", "--", *command, env=env)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    done = playhead("replay", "last", env=env)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def test_recorded_directory_that_is_gone(env, tmp_path):
    """Said, with the way to replay elsewhere, which works."""
    place = tmp_path / "project"
    place.mkdir()
    assert playhead("record", "--allow-empty", "--", "echo", "hello", env=env, cwd=place).returncode == 0
    place.rmdir()
    refused(playhead("replay", "last", env=env), "directory-missing", 2, says=[str(place), "-- CMD"])
    assert playhead("replay", "last", "--", "echo", "hello", env=env).returncode == 0


def test_own_directory_that_is_gone(env, tmp_path):
    """The shell's working directory was deleted under it."""
    place = tmp_path / "project"
    place.mkdir()
    line = f"cd {place} && rmdir {place} && exec {PLAYHEAD} record --allow-empty -- {TRUE}"
    done = subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, check=False)
    refused(done, "directory-missing", 2)


# sessions ------------------------------------------------------------------------------------------------------------

READERS = ["replay", "inspect", "verify", "rm"]


@pytest.mark.parametrize("command", READERS)
def test_unknown_session(store, env, command):
    """The nearest are listed."""
    refused(playhead(command, "othr", env=env), "session-not-found", 3, says=["other"])


def test_session_of_an_empty_store(env):
    """There is none to list: how to make one."""
    refused(playhead("inspect", "last", env=env), "session-not-found", 3, says=["an empty store", "playhead record"])


@pytest.mark.parametrize("command", READERS)
def test_ambiguous_session(store, env, command):
    """Two ids with one beginning: both are listed."""
    one, other = sorted((store / "sessions").glob("*.tape"))[:2]
    for path, name in ((one, "aaaa111111111111"), (other, "aaaa222222222222")):
        rename(path, name)
    done = refused(playhead(command, "aaaa", env=env), "session-ambiguous", 3, says=["aaaa1111", "aaaa2222"])
    assert "more digits" in done.stderr


def rename(path, name):
    """Give a sealed session another id, as if it had been drawn."""
    segments = []
    for segment in read_sealed(path).segments:
        copy = path.with_name(f"{segment.segment}.seg")
        writer = SegmentWriter(copy, segment.segment)
        for event in segment.events[1:-1]:
            body = event.body.replace(path.stem.encode(), name.encode())
            writer.append(event.kind, event.subject, body, meta=event.meta, flags=event.flags, t_ns=event.t_ns)
        writer.close()
        segments.append((segment.segment, copy.read_bytes()))
        copy.unlink()
    path.unlink()
    write_sealed(path.with_name(f"{name}.tape"), name, segments)


@pytest.mark.parametrize("command", ["replay", "inspect", "verify"])
class TestFiles:
    """What may lie at the path that was given for a session."""

    def test_truncated(self, store, env, tmp_path, command):
        """A copy that was cut off before anything whole."""
        data = tape(store).read_bytes()
        (tmp_path / "cut.tape").write_bytes(data[:60])
        refused(playhead(command, tmp_path / "cut.tape", env=env), "recording-truncated", 3, says=["cut.tape"])

    def test_foreign(self, env, tmp_path, command):
        """Something else by that name."""
        (tmp_path / "it.tape").write_bytes(b"PK\x03\x04" + b"\0" * 500)
        refused(playhead(command, tmp_path / "it.tape", env=env), "not-a-recording", 3, says=["it.tape"])

    def test_empty(self, env, tmp_path, command):
        """No bytes at all."""
        (tmp_path / "it.tape").touch()
        refused(playhead(command, tmp_path / "it.tape", env=env), "not-a-recording", 3, says=["an empty file"])

    def test_newer(self, store, env, tmp_path, command):
        """A format of the future: install a newer Playhead."""
        data = bytearray(tape(store).read_bytes())
        data[8:12] = (4711).to_bytes(4, "little")
        data[20:24] = crc32(data[:20]).to_bytes(4, "little")
        (tmp_path / "it.tape").write_bytes(data)
        done = playhead(command, tmp_path / "it.tape", env=env)
        refused(done, "format-version", 3, says=["format 4711", "install"])

    def test_empty_folder(self, env, tmp_path, command):
        """No segment in it."""
        (tmp_path / "it.tape.d").mkdir()
        refused(playhead(command, tmp_path / "it.tape.d", env=env), "not-a-recording", 3, says=["segment"])

    def test_any_directory(self, env, tmp_path, command):
        """A project, for instance."""
        (tmp_path / "agent.py").touch()
        refused(playhead(command, f"{tmp_path}/", env=env), "not-a-recording", 3)

    def test_device(self, env, command):
        """One that never ends."""
        refused(playhead(command, "/dev/zero", env=env), "not-a-recording", 3)

    def test_missing(self, env, tmp_path, command):
        """A path to nothing."""
        refused(playhead(command, tmp_path / "it.tape", env=env), "session-not-found", 3, says=["it.tape"])

    def test_forbidden(self, store, env, tmp_path, command):
        """A file that this user may not read."""
        shutil.copy(tape(store), tmp_path / "it.tape")
        (tmp_path / "it.tape").chmod(0)
        done = playhead(command, tmp_path / "it.tape", env=env, preexec_fn=without_power_over_files)
        refused(done, "recording-unreadable", 3, says=["Permission denied"])


def test_step_that_is_none(store, env):
    """Of an address."""
    refused(playhead("inspect", "other:x", env=env), "bad-step", 2)
    refused(playhead("inspect", "other:7", env=env), "no-such-step", 2)


# the store -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["record", "--", "true"], ["list"], ["inspect", "last"], ["init"]])
def test_store_without_permission(env, tmp_path, command):
    """Another store can be named."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o500)
    done = playhead(*command, env=env, preexec_fn=without_power_over_files)
    refused(done, "store-unusable", 2, says=["Permission denied", "--store DIR"])


@pytest.mark.parametrize("command", [["record", "--", "true"], ["list"], ["replay", "last"]])
def test_store_that_is_a_file(env, tmp_path, command):
    """By variable and by option."""
    (tmp_path / "store").touch()
    refused(playhead(*command, env=env), "store-unusable", 2, says=["--store DIR"])
    done = playhead(command[0], "--store", tmp_path / "store", *command[1:], env=env)
    assert done.returncode == 2
    assert "is a file" in done.stderr


@pytest.mark.parametrize("damage", ["garbage", "cut", "middle", "folder"])
def test_corrupt_catalogue(store, env, damage):
    """It is made again from the recordings, and nobody notices."""
    path = store / "catalogue.db"
    data = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif damage == "cut":
        path.write_bytes(data[:5000])
    elif damage == "middle":
        path.write_bytes(data[:4096] + b"\xff" * 8192 + data[12288:])
    else:
        path.unlink()
        path.mkdir()
    done = playhead("list", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3
    done = playhead("record", "--allow-empty", "--", "true", env=env)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert len(json.loads(playhead("list", "--json", env=env).stdout)) == 4


def test_row_of_the_catalogue_that_is_damaged(store, env):
    """What SQLite itself cannot see: a list makes it again and nobody notices; an address says so once."""
    with contextlib.closing(sqlite3.connect(store / "catalogue.db")) as db, db:
        db.execute("UPDATE sessions SET header = 'not JSON'")
    done = playhead("list", "--json", env=env)
    assert sorted(row["name"] for row in json.loads(done.stdout)) == ["other", "twin", "twin"]
    with contextlib.closing(sqlite3.connect(store / "catalogue.db")) as db, db:
        db.execute("UPDATE sessions SET header = 'not JSON'")
    refused(playhead("inspect", "last", env=env), "catalogue-damaged", 2, says=["run the same command again"])
    assert playhead("inspect", "last", env=env).returncode == 0


def mounted(line, store, size, env):
    """Run a shell line in a mount namespace in which the store is a file system of so few bytes."""
    enter = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    store.mkdir(exist_ok=True)
    script = f"set -e; mount -t tmpfs -o size={size},mode=0700 tmpfs {store}; set +e\n{line}"
    return subprocess.run(
        [*enter, "sh", "-c", script], env=env, capture_output=True, text=True, timeout=200, check=False
    )


FILL = """
import os, sys
room = int(sys.argv[2])
with open(sys.argv[1], "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
    file.truncate(max(0, file.tell() - room))
"""
TALK = """
import json, os, urllib.request
for number in range(12):
    prompt = f"call {number} " + "".join(chr(97 + (number * 7 + i * i) % 26) for i in range(9000))
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}).encode()
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})) as answer:
        print(number, len(json.load(answer)["choices"][0]["message"]["content"]) > 9000, flush=True)
"""


@pytest.mark.parametrize("inside", ["off", "on"])
@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_disk_that_fills_up_while_recording(env, tmp_path, server, durability, inside):
    """All calls succeed, exit code 0; the session opens, says that it is incomplete, and keeps what came before. Where the
    disk was full between a question's head and its body, its replay is refused there, which the agent hears."""
    store, out = tmp_path / "store", tmp_path / "out"
    (tmp_path / "fill.py").write_text(FILL)
    (tmp_path / "talk.py").write_text(TALK)
    out.mkdir()
    env = env | {"OPENAI_BASE_URL": f"{server.url}/v1", "PLAYHEAD_INSIDE": inside}
    line = f"""
    {PLAYHEAD} record --allow-empty -- {TRUE} || exit 90
    {sys.executable} {tmp_path}/fill.py {store}/filler 81920
    {PLAYHEAD} record --durability {durability} --summary {out}/summary.json -- {sys.executable} {tmp_path}/talk.py
    echo $? >{out}/code
    {PLAYHEAD} inspect last --json >{out}/inspect.json || exit 91
    {PLAYHEAD} list --json >{out}/list.json || exit 92
    {PLAYHEAD} verify last >{out}/verify || exit 93
    {PLAYHEAD} replay last; [ $? = 1 ] || exit 94
    """
    before = server.hits
    done = mounted(line, store, "3m", env)
    assert done.returncode == 0, done.stderr
    if inside == "off":
        assert "Traceback" not in done.stderr
    else:
        recording, _, replaying = done.stderr.partition("incomplete: the recording could not be written")
        assert "Traceback" not in recording
        assert replaying.count("Traceback") == replaying.count("urllib.error.HTTPError: HTTP Error 400")
    assert (out / "code").read_text() == "0\n"
    assert server.hits == before + 12
    assert done.stdout.count(" True\n") >= 12
    assert "incomplete: the recording could not be written: No space left on device" in done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["complete"], summary["exit_code"]) == (False, 0)
    shown = json.loads((out / "inspect.json").read_text())
    assert shown["status"] == "incomplete"
    assert 2 <= len(shown["steps"]) < 12
    assert [step["status"] for step in shown["steps"][:2]] == ["ok", "ok"]
    assert [row["status"] for row in json.loads((out / "list.json").read_text())] == ["incomplete", "ok"]


@pytest.mark.parametrize("room", [0, 4096, 8192, 12288, 16384])
def test_disk_that_is_full_from_the_start(env, tmp_path, server, room):
    """Either nothing runs and the error says what to do, or the call succeeds and the session says that it has holes."""
    store, out = tmp_path / "store", tmp_path / "out"
    (tmp_path / "fill.py").write_text(FILL)
    (tmp_path / "talk.py").write_text(TALK)
    out.mkdir()
    env = env | {"OPENAI_BASE_URL": f"{server.url}/v1"}
    line = f"""
    {PLAYHEAD} record --allow-empty -- {TRUE} || exit 90
    {sys.executable} {tmp_path}/fill.py {store}/filler {room}
    {PLAYHEAD} record -- {sys.executable} {tmp_path}/talk.py 2>{out}/err
    echo $? >{out}/code
    ls {store}/sessions >{out}/sessions
    {PLAYHEAD} list >{out}/list || exit 91
    {PLAYHEAD} inspect last --json >{out}/last.json || exit 92
    """
    before = server.hits
    done = mounted(line, store, "3m", env)
    assert done.returncode == 0, done.stderr
    said = (out / "err").read_text()
    assert "Traceback" not in said
    code = int((out / "code").read_text())
    if code == 2:
        assert ERROR.findall(said) == ["store-unusable"]
        assert "No space left on device" in said
        assert "free some space" in said
        assert server.hits == before
        assert len((out / "sessions").read_text().split()) == 1
    else:
        assert room
        last = json.loads((out / "last.json").read_text())
        assert code == (0 if last["steps"] else 4), said
        assert "incomplete: the recording could not be written: No space left on device" in said
        assert server.hits == before + 12
        assert last["status"] == "incomplete"


def test_store_that_is_full_before_the_first_run(env, tmp_path):
    """No authority can be made."""
    store = tmp_path / "store"
    (tmp_path / "fill.py").write_text(FILL)
    line = f"{sys.executable} {tmp_path}/fill.py {store}/filler 0; exec {PLAYHEAD} record -- {TRUE}"
    done = mounted(line, store, "64k", env)
    assert ERROR.findall(done.stderr)[0] in ("store-unusable", "ca-unreadable")
    assert "No space left on device" in done.stderr
    assert done.returncode == 2


# the rest of the machine ---------------------------------------------------------------------------------------------


def test_port_taken(env):
    """`--port` of another's server."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = playhead("record", "--port", port, "--", "true", env=env)
    refused(done, "port-taken", 2, says=[f"127.0.0.1:{port}", "leave --port out"])


@pytest.mark.parametrize("command", [["record", "--allow-empty", "--", "true"], ["replay", "other"]])
def test_expired_authority(store, env, command):
    """Named with its dates; `init` makes a new one, and then all goes on."""
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    key = (store / "ca" / "ca.key").read_bytes()
    expired = certificates.sign_authority(key, lifetime=dt.timedelta(days=3), now=long_ago)
    (store / "ca" / "ca.pem").write_bytes(expired)
    refused(playhead(*command, env=env), "ca-expired", 2, says=["valid from", "playhead init"])
    renewed = playhead("init", env=env)
    assert renewed.returncode == 0
    assert "expired" in renewed.stderr
    assert playhead(*command, env=env).returncode == 0


@pytest.mark.parametrize("damage", ["garbage", "no key", "forbidden", "another's key"])
def test_unreadable_authority(store, env, damage):
    """As an expired one."""
    folder = store / "ca"
    if damage == "garbage":
        (folder / "ca.pem").write_bytes(b"garbage")
    elif damage == "no key":
        (folder / "ca.key").unlink()
    elif damage == "forbidden":
        (folder / "ca.key").chmod(0)
    else:
        (folder / "ca.key").write_bytes(certificates.new_key())
    run = {"env": env, "preexec_fn": without_power_over_files}
    refused(playhead("record", "--", "true", **run), "ca-unreadable", 2, says=["playhead init"])
    assert playhead("init", **run).returncode == 0
    assert playhead("record", "--allow-empty", "--", "true", **run).returncode == 0


def test_home_unset(env, tmp_path):
    """With a store named all works; without one the user's own home is found by other means, or it is said."""
    del env["HOME"]
    assert playhead("record", "--allow-empty", "--", "true", env=env).returncode == 0
    del env["PLAYHEAD_STORE"]
    program = """
import pwd, sys
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
sys.argv[0] = "playhead"
from playhead.cli.main import main
main(["list"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    refused(done, "no-home", 2, says=["PLAYHEAD_STORE"])
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-", ">&-", "2>&-"])
def test_closed_standard_streams(env, tmp_path, server, closed):
    """The run is recorded whole all the same, and opens."""
    env = env | {"OPENAI_BASE_URL": f"{server.url}/v1"}
    (tmp_path / "talk.py").write_text(TALK)
    line = f"{PLAYHEAD} record --summary {tmp_path}/s.json -- {sys.executable} {tmp_path}/talk.py {closed}"
    done = subprocess.run(["sh", "-c", line], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["complete"], summary["llm_calls"]) == (True, 12)


def test_path_empty(env):
    """A name cannot be found, a path can."""
    bare = env | {"PATH": ""}
    refused(playhead("record", "--", "no-such-program", env=bare), "command-not-found", 127)
    assert playhead("record", "--allow-empty", "--", TRUE, env=bare).returncode == 0
    del bare["PATH"]
    assert playhead("record", "--allow-empty", "--", TRUE, env=bare).returncode == 0


def test_tmpdir_missing(env, server, tmp_path):
    """Recorded and replayed without one."""
    bare = env | {"TMPDIR": "/nowhere", "OPENAI_BASE_URL": f"{server.url}/v1"}
    (tmp_path / "talk.py").write_text(TALK)
    done = playhead("record", "--", sys.executable, tmp_path / "talk.py", env=bare)
    assert done.returncode == 0, done.stderr
    done = playhead("replay", "last", env=bare)
    assert done.returncode == 0, done.stderr


def test_no_errors_are_swallowed_by_a_file_called_like_a_command(env, tmp_path):
    """A path of this machine in place of a session's name is looked at as such only when it looks like one."""
    Path(tmp_path / "last").touch()
    refused(playhead("inspect", "last", env=env, cwd=tmp_path), "session-not-found", 3)
