"""Standard streams, signals and exit codes, through `playhead record` and `playhead replay`, on terminals and pipes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.support.executable import PLAYHEAD, plain_environment, playhead
from tests.support.screen import Screen

PYTHON = sys.executable
STREAMS = ("stdin", "stdout", "stderr")


@pytest.fixture
def screen():
    with Screen() as made:
        yield made


def on_screen(screen, *arguments, env, terminals=STREAMS):
    """`playhead` with these of its streams on the screen, the others piped, as leader of the screen's session."""

    def end(name):
        return screen.slave if name in terminals else subprocess.PIPE

    return subprocess.Popen(
        ["setsid", "--ctty", "--wait", PLAYHEAD, *map(str, arguments)]
        if "stdin" in terminals
        else [PYTHON, "-c", _LEAD, str(screen.slave), PLAYHEAD, *map(str, arguments)],
        env=env,
        stdin=end("stdin"),
        stdout=end("stdout"),
        stderr=end("stderr"),
        pass_fds=() if "stdin" in terminals else (screen.slave,),
    )


_LEAD = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); os.execv(sys.argv[2], sys.argv[2:])"


def record(env, *command, options=(), **popen):
    return playhead("record", "--allow-empty", "--name", "it", *options, "--", *command, env=env, **popen)


def python(code, *arguments):
    return (PYTHON, "-c", textwrap.dedent(code), *map(str, arguments))


@pytest.fixture
def env(home):
    return plain_environment(home)


KINDS = """
    import json, os, sys
    size = [list(os.get_terminal_size(n)) for n in (0, 1, 2) if os.isatty(n)]
    open(sys.argv[1], "a").write(json.dumps([[os.isatty(n) for n in (0, 1, 2)], size[:1]]) + "\\n")
    """


@pytest.mark.parametrize(
    "terminals", [STREAMS, ("stdout",), ("stdin", "stderr"), ("stdin", "stdout"), ()], ids="-".join
)
def test_each_stream_is_the_kind_it_was_in_record_and_in_replay(home, env, screen, terminals):
    """A terminal stays one, of the same size, a pipe stays a pipe; a replay from pipes gives the recorded kinds."""
    told = home / "kinds"
    recording = on_screen(
        screen, "record", "--allow-empty", "--name", "it", "--", *python(KINDS, told), env=env, terminals=terminals
    )
    recording.communicate(timeout=120)
    assert recording.returncode == 0
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    once, again = map(json.loads, told.read_text().splitlines())
    assert once == [[name in terminals for name in STREAMS], [[101, 33]] if terminals else []]
    assert again == once


COUNT = """
    import signal, sys, time
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    print("ready", flush=True)
    until = time.monotonic() + 20
    while not seen and time.monotonic() < until:
        time.sleep(0.01)
    late = time.monotonic() + 0.3
    while time.monotonic() < late:
        time.sleep(0.01)
    print("interrupts", len(seen), flush=True)
    sys.exit(len(seen))
    """


def test_ctrl_c_reaches_the_command_once(env, screen):
    """The key is typed at the user's terminal; the command sees one SIGINT, and ends as it wants."""
    recording = on_screen(screen, "record", "--allow-empty", "--", *python(COUNT), env=env)
    screen.until(rb"ready")
    screen.type(b"\x03")
    screen.until(rb"interrupts 1\r\n")
    assert recording.wait(60) == 1


ASK = """
    import getpass
    name = input("Who? ")
    word = getpass.getpass("Password: ")
    print(f"{name} has {len(word)} letters")
    """


def test_what_is_typed_is_recorded_and_typed_again(env, screen):
    """A question, and a password that the terminal does not show: a replay from a pipe answers both."""
    recording = on_screen(screen, "record", "--allow-empty", "--name", "it", "--", *python(ASK), env=env)
    screen.until(rb"Who\? ")
    screen.type(b"ann\r")
    screen.until(rb"Password: ")
    screen.type(b"open\r")
    screen.until(rb"ann has 4 letters")
    assert recording.wait(60) == 0
    assert b"open" not in screen.shown
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert "ann has 4 letters" in replayed.stdout


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_piped_input_is_recorded_and_replayed(env, size):
    """Whatever its size, all of it reaches the command, then its end; a replay has it all again from nowhere."""
    text = "".join(f"{n:08d}\n" for n in range(size // 9 + 1))[:size]
    count = python("import hashlib, sys; d = sys.stdin.buffer.read(); print(len(d), hashlib.sha256(d).hexdigest())")
    recorded = record(env, *count, input=text)
    assert recorded.stdout.split()[0] == str(size)
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout


def test_input_that_may_begin_a_secret_is_not_taken_for_its_end(env):
    """A piece that redaction holds back whole is recorded later; the command's input does not end there."""
    code = """
        import sys
        print("ready", flush=True)
        first = sys.stdin.readline()
        print("and", flush=True)
        print([first, sys.stdin.read()])
        """
    with subprocess.Popen(
        [PLAYHEAD, "record", "--allow-empty", "--name", "it", "--", *python(code)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as recording:
        assert recording.stdout.readline() == "ready\n"
        recording.stdin.write("sk-ant-a")
        recording.stdin.flush()
        time.sleep(0.05)  # a piece of its own
        recording.stdin.write("nts\n")
        recording.stdin.flush()
        assert recording.stdout.readline() == "and\n"
        out, _ = recording.communicate("the rest", timeout=120)
    assert out == "['sk-ant-ants\\n', 'the rest']\n"
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr


ENDS = {
    "its own code": (("sh", "-c", "exit 7"), 7),
    "a signal": (("sh", "-c", "kill -9 $$"), 137),
    "not found": (("no-such-program-anywhere",), 127),
    "not executable": (("/etc/passwd",), 126),
}


@pytest.mark.parametrize("how", ENDS)
def test_record_ends_as_the_command_did(home, env, how):
    """The exit code is the child's, as a shell would report it, and the summary says whose it is."""
    command, code = ENDS[how]
    place = home / "summary.json"
    recorded = record(env, *command, options=("--summary", place))
    assert recorded.returncode == code, recorded.stderr
    if code not in (126, 127):
        summary = json.loads(place.read_text())
        assert (summary["exit_code"], summary["exit_source"]) == (code, "child")
        assert playhead("replay", "it", env=env).returncode == 0


def test_exit_source_is_playhead_when_the_code_is_ours(home, env):
    """An empty recording exits 4 by Playhead's own judgement."""
    place = home / "summary.json"
    recorded = playhead("record", "--summary", place, "--", "true", env=env)
    summary = json.loads(place.read_text())
    assert (recorded.returncode, summary["exit_code"], summary["exit_source"]) == (4, 4, "playhead")


def test_sigterm_to_playhead_ends_the_command_and_seals_the_session_as_killed(env):
    """What a supervisor sends reaches the command; the session is whole, sealed, and says how it ended."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(30)"
    recording = subprocess.Popen(
        [PLAYHEAD, "record", "--allow-empty", "--name", "it", "--", PYTHON, "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = int(recording.stdout.readline())
    recording.send_signal(signal.SIGTERM)
    recording.communicate(timeout=120)
    assert recording.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    (session,) = json.loads(playhead("list", "--json", env=env).stdout)
    assert session["status"] == "killed"
    assert playhead("verify", "it", env=env).returncode == 0


def test_ten_megabytes_of_output_pass_unchanged_beside_stderr(env):
    """Every byte of both, in record and in replay, and the streams are not mixed."""
    code = """
        import os, random, sys
        data = random.Random(7).randbytes(10_000_000)
        sys.stderr.write("e" * 100_000)
        sys.stdout.buffer.write(data)
        sys.exit(3)
        """
    expected = subprocess.run(python(code), capture_output=True, check=False)
    for arguments in (("record", "--allow-empty", "--name", "it", "--", *python(code)), ("replay", "it")):
        ran = subprocess.run(
            [PLAYHEAD, *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
        )
        assert ran.stdout == expected.stdout
        assert ran.stderr.startswith(expected.stderr)
        assert ran.returncode == (3 if arguments[0] == "record" else 0), ran.stderr[100_000:]


MASKED = {
    "date": "import datetime; print('now', datetime.datetime.now().isoformat())",
    "uuid": "import uuid; print('id', uuid.uuid4())",
    "tmp-path": "import os, tempfile; path = tempfile.mkdtemp(); print('in', path); os.rmdir(path)",
}


@pytest.mark.parametrize("rule", MASKED)
def test_output_that_differs_under_a_mask_alone_is_identical_and_the_mask_is_named(home, env, rule):
    """A run's own clock, a drawn uuid, a temporary path, of a program whose inside is not on the tape."""
    env = {**env, "PLAYHEAD_INSIDE": "off"}
    recorded = record(env, *python(MASKED[rule]))
    replayed, summary = replayed_with_summary(home, env)
    assert replayed.stdout != recorded.stdout
    assert replayed.returncode == 0, replayed.stderr
    assert summary["stdout_masked"] == [f"{rule}@1"]
    assert summary["stdout_identical"] is True
    assert rule in replayed.stderr


def replayed_with_summary(home, env):
    """A replay of `it`, and its summary."""
    place = home / "summary.json"
    replayed = playhead("replay", "--summary", place, "it", env=env)
    return replayed, json.loads(place.read_text())


@pytest.mark.parametrize("rule", MASKED)
def test_a_python_prints_its_date_its_uuid_and_its_folder_again(home, env, rule):
    """With its inside on the tape there is nothing to mask."""
    recorded = record(env, *python(MASKED[rule]))
    replayed, summary = replayed_with_summary(home, env)
    assert replayed.stdout == recorded.stdout
    assert (replayed.returncode, summary["stdout_masked"]) == (0, []), replayed.stderr


COUNTED = """
    import os, sys
    import playhead
    path = sys.argv[1]
    with playhead.unrecorded():  # else the replay is told that it is the first run, too
        before = os.path.getsize(path) if os.path.exists(path) else 0
    open(path, "a").write("x")
    print("the same line"); print("run number", before)
    sys.exit(before if sys.argv[2] == "code" else 0)
    """


def diverges(env, place, **same):
    """A replay of `it` that diverges, and in what; its summary is at `place`."""
    replayed = playhead("replay", "--summary", place, "it", env=env)
    assert replayed.returncode == 1
    summary = json.loads(place.read_text())
    assert {name: summary[name] for name in ("verdict", *same)} == {"verdict": "diverged", **same}
    return replayed


def test_any_other_difference_of_output_is_a_divergence(home, env):
    """Exit 1, and the first line that differs is shown on both sides; --ignore-output passes it over."""
    record(env, *python(COUNTED, home / "count", "same"))
    place = home / "summary.json"
    replayed = diverges(env, place, stdout_identical=False, exit_code_identical=True)
    assert "at line 2, character 12" in replayed.stderr
    assert "run number 0" in replayed.stderr
    assert "run number 1" in replayed.stderr
    ignored = playhead("replay", "--ignore-output", "--summary", place, "it", env=env)
    assert ignored.returncode == 0, ignored.stderr
    assert json.loads(place.read_text())["verdict"] == "identical"


def test_another_exit_code_is_a_divergence(home, env):
    """The same words and another code: exit 1, and both codes are said."""
    count = home / "count"
    record(env, *python(COUNTED.replace("before)\n", "0)\n", 1), count, "code"))
    replayed = diverges(env, home / "summary.json", stdout_identical=True, exit_code_identical=False)
    assert "exit code 1 where the recording has 0" in replayed.stderr
