"""The launcher with real commands, in a process of its own (drive_launcher.py)."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from playhead.capture.process.terminal import Size, set_window_size
from playhead.runs.launcher import ExitStatus, Launcher
from tests.support.screen import Screen

DRIVER = str(Path(__file__).with_name("drive_launcher.py"))
PYTHON = sys.executable
COUNT_INTERRUPTS = """
import signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("ready", *[f.isatty() for f in (sys.stdin, sys.stdout, sys.stderr)], file=sys.stderr, flush=True)
until = time.monotonic() + 20
while not seen and time.monotonic() < until:
    time.sleep(0.01)
late = time.monotonic() + 0.3
while time.monotonic() < late:
    time.sleep(0.01)
print("interrupts", len(seen), file=sys.stderr, flush=True)
"""


class Driven:
    """One run of the driver and what it reported."""

    def __init__(self, folder, command, *, options=None, **popen):
        self.path = folder / "report.json"
        options = {"report": str(self.path), **(options or {})}
        self.process = subprocess.Popen([PYTHON, DRIVER, json.dumps(options), *command], **popen)

    def finish(self, data=None):
        try:
            self.out, self.err = self.process.communicate(data, timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.report()

    def report(self):
        self.process.wait(60)
        found = json.loads(self.path.read_text())
        self.pieces = [(fd, base64.b64decode(data)) for fd, data in found["pieces"]]
        return found

    def piece(self, number):
        return b"".join(data for fd, data in self.pieces if fd == number)


def piped(folder, *command, data=b"", **options):
    driven = Driven(
        folder, command, options=options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    return driven, driven.finish(data)


@pytest.fixture
def screen():
    with Screen() as made:
        yield made


def test_pipes_stay_pipes_and_what_is_reported_is_what_passed(tmp_path):
    """Streams that were pipes are none of them terminals; bytes, report and exit code agree."""
    code = "import sys; print([f.isatty() for f in (sys.stdin, sys.stdout, sys.stderr)]); sys.stderr.write('e'); sys.exit(3)"
    driven, report = piped(tmp_path, PYTHON, "-c", code)
    assert driven.out == b"[False, False, False]\n"
    assert (driven.err, driven.piece(1), driven.piece(2)) == (b"e", driven.out, b"e")
    assert (report["code"], report["signal"], driven.process.returncode) == (3, None, 3)
    assert report["kinds"] == ["pipe", "pipe", "pipe"]


def test_terminals_stay_terminals_with_their_size(tmp_path, screen):
    """Streams that were a terminal are one for the child, with the window of ours, which is restored afterwards."""
    before = termios.tcgetattr(screen.slave)
    code = "import os, sys; print([os.isatty(n) for n in range(3)], os.get_terminal_size(), os.ttyname(0), 'end')"
    driven = terminal_run(tmp_path, screen, PYTHON, "-c", code)
    screen.until(rb"end\r\n")
    driven.report()
    assert b"[True, True, True] os.terminal_size(columns=101, lines=33)" in driven.piece(1)
    assert os.ttyname(screen.slave).encode() not in driven.piece(1)
    assert screen.shown == driven.piece(1)
    assert termios.tcgetattr(screen.slave) == before


def terminal_run(folder, screen, *command, stdin=None, stdout=None, stderr=None, **options):
    """The driver with the screen as controlling terminal, and as every stream that is not given."""
    return Driven(
        folder,
        command,
        options={"terminal": next((n for n, f in enumerate((stdin, stdout, stderr)) if f is None), 2), **options},
        stdin=screen.slave if stdin is None else stdin,
        stdout=screen.slave if stdout is None else stdout,
        stderr=screen.slave if stderr is None else stderr,
        start_new_session=True,
    )


def test_resizing_the_window_reaches_the_child(tmp_path, screen):
    """A new size of our terminal becomes the size of the child's, which is told by SIGWINCH."""
    code = "import os, signal; print('ready', flush=True); signal.sigwait({signal.SIGWINCH}); print(os.get_terminal_size(0))"
    code = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH});" + code
    driven = terminal_run(tmp_path, screen, PYTHON, "-c", code)
    screen.until(rb"ready")
    set_window_size(screen.master, Size(50, 60))
    screen.until(rb"columns=60, lines=50")
    assert driven.report()["code"] == 0


@pytest.mark.parametrize(
    ("stdin", "stdout", "kinds"),
    [
        (None, None, b"True True True"),
        (None, subprocess.PIPE, b"True False True"),
        (subprocess.DEVNULL, None, b"False True True"),
        (subprocess.DEVNULL, subprocess.PIPE, b"False False True"),
    ],
)
def test_ctrl_c_reaches_the_child_exactly_once(tmp_path, screen, stdin, stdout, kinds):
    """Whichever of the streams are the terminal, one Ctrl-C is one SIGINT."""
    driven = terminal_run(tmp_path, screen, PYTHON, "-c", COUNT_INTERRUPTS, stdin=stdin, stdout=stdout)
    screen.until(b"ready " + kinds)
    screen.type(b"\x03")
    assert screen.until(rb"interrupts (\d+)")[1] == b"1"
    assert driven.report()["code"] == 0
    if driven.process.stdout:
        driven.process.stdout.close()


def test_ctrl_c_without_a_terminal_among_the_streams_reaches_the_child_once(tmp_path, screen):
    """Streams all redirected, but started from a terminal: its group signal is not doubled by us."""
    reading, writing = os.pipe()
    extra = os.dup(screen.slave)
    with os.fdopen(reading, "rb") as shown:
        driven = Driven(
            tmp_path,
            [PYTHON, "-c", COUNT_INTERRUPTS],
            options={"terminal": extra},
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            pass_fds=[extra],
        )
        os.close(writing)
        os.close(extra)
        assert shown.readline() == b"ready False False False\n"
        screen.type(b"\x03")
        assert shown.readline() == b"interrupts 1\n"
    driven.report()


def test_ctrl_z_stops_the_run_and_a_shell_can_go_on_with_it(tmp_path, screen):
    """As a job of a shell: Ctrl-Z stops command and launcher, `fg` continues both, and the terminal is lent back."""
    driven_options = json.dumps({"report": str(tmp_path / "report.json")})
    agent = "import time; print('agent up', flush=True); print('agent heard', input()); time.sleep(0)"
    shell = f"""
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
lent = termios.tcgetattr(0)
job = subprocess.Popen([{PYTHON!r}, {DRIVER!r}, {driven_options!r}, {PYTHON!r}, "-c", {agent!r}], process_group=0)
os.tcsetpgrp(0, job.pid)
_, status = os.waitpid(job.pid, os.WUNTRACED)
os.tcsetpgrp(0, os.getpgrp())
print("shell sees stopped", os.WIFSTOPPED(status), termios.tcgetattr(0) == lent, flush=True)
os.tcsetpgrp(0, job.pid)
os.killpg(job.pid, signal.SIGCONT)
_, status = os.waitpid(job.pid, 0)
os.tcsetpgrp(0, os.getpgrp())
print("shell sees end", status, flush=True)
"""
    run = [PYTHON, "-c", shell]
    ends = {"stdin": screen.slave, "stdout": screen.slave, "stderr": screen.slave}
    with subprocess.Popen(run, **ends, start_new_session=True) as process:
        screen.until(rb"agent up")
        screen.type(b"\x1a")
        screen.until(rb"shell sees stopped True True")
        screen.type(b"words\r")
        screen.until(rb"agent heard words")
        screen.until(rb"shell sees end 0")
        process.wait(60)


def test_sigterm_is_forwarded(tmp_path):
    """SIGTERM sent to the launcher is the command's to handle; its exit code is the run's."""
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True);"
        "time.sleep(30)"
    )
    driven = Driven(tmp_path, [PYTHON, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with driven.process.stdout:
        assert driven.process.stdout.readline() == b"up\n"
        driven.process.send_signal(signal.SIGTERM)
        assert driven.report()["code"] == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_signal_is_128_plus_n(tmp_path, number):
    """A command killed by signal N ends as 128 + N, with the signal named."""
    driven, report = piped(tmp_path, "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
    assert (report["code"], report["signal"], driven.process.returncode) == (None, number, 128 + number)


def test_a_command_that_is_not_there_is_127(tmp_path):
    """As in a shell, with words that say so, and nothing reported as run."""
    driven, report = piped(tmp_path, "no-such-command-here")
    assert driven.process.returncode == 127
    assert "command not found: no-such-command-here" in report["not_started"]
    assert report["pieces"] == []


def test_a_file_that_is_not_executable_is_126(tmp_path):
    """Plain files and directories."""
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    plain.chmod(0o644)
    for path in (plain, tmp_path):
        driven, _ = piped(tmp_path, str(path))
        assert driven.process.returncode == 126


def test_a_script_without_a_first_line_runs_as_a_shell_would_run_it(tmp_path):
    """ENOEXEC means /bin/sh, arguments passed."""
    script = tmp_path / "script"
    script.write_text('echo "[$1]"\n')
    script.chmod(0o755)
    driven, _ = piped(tmp_path, str(script), "a b")
    assert driven.out == b"[a b]\n"


def test_ten_megabytes_pass_unchanged_both_ways(tmp_path):
    """Random bytes through cat: what went in came out and was reported, in both directions."""
    data = os.urandom(10_000_000)
    driven, report = piped(tmp_path, "cat", data=data)
    assert driven.out == data
    assert driven.piece(0) == data
    assert driven.piece(1) == data
    assert driven.pieces.count((0, b"")) == 1
    assert report["code"] == 0


def test_the_end_of_input_is_passed_on_and_reported(tmp_path):
    """A program that reads to the end of its input ends; the end is the last thing reported for stdin."""
    driven, _ = piped(tmp_path, "sh", "-c", "cat >/dev/null; echo over", data=b"x")
    assert driven.out == b"over\n"
    assert [data for fd, data in driven.pieces if fd == 0] == [b"x", b""]


def test_an_empty_input_stays_empty(tmp_path):
    """/dev/null as input is /dev/null for the child, not a pipe."""
    driven = Driven(
        tmp_path, ["sh", "-c", "readlink /proc/self/fd/0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert driven.finish()["kinds"] == ["null", "pipe", "tty" if os.isatty(2) else "pipe"]
    assert driven.out == b"/dev/null\n"


def test_a_process_left_behind_does_not_hold_the_run(tmp_path):
    """A grandchild keeps stdout open for long after the command ended; all that the command wrote still arrives."""
    driven, report = piped(tmp_path, "sh", "-c", "sleep 100 & head -c 300000 /dev/zero; echo $!")
    assert driven.out.startswith(b"\0" * 300000)
    assert report["duration_s"] < 50
    os.kill(int(driven.out[300000:]), signal.SIGKILL)


def test_a_process_left_behind_that_writes_on_does_not_hold_the_run(tmp_path):
    """The same when it never falls silent."""
    driven, report = piped(tmp_path, "sh", "-c", "(while echo tick; do sleep 0.02; done) 2>/dev/null & echo up")
    assert b"up\n" in driven.out
    assert report["code"] == 0


def test_no_descriptor_of_ours_reaches_the_child(tmp_path):
    """Only 0, 1, 2, though the launcher itself was started with an inheritable descriptor 9, and watches."""
    code = "import os; print([n for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])"
    driven, report = piped(tmp_path, PYTHON, "-c", code, inheritable=True, watch=True)
    assert sorted(eval(driven.out)) == ["0", "1", "2"]
    # 3 and 9 are the driver's own /dev/null, 4 the listing itself
    assert report["left_open"] == [0, 1, 2, 3, 4, 9]


def test_a_slow_reader_slows_the_child(tmp_path):
    """Nothing piles up here: while nobody reads, the child can write a few pipes' worth and no more."""
    code = """
import os, sys, time
os.set_blocking(1, False)
written, stuck_since = 0, None
while written < 50_000_000 and (stuck_since is None or time.monotonic() - stuck_since < 0.3):
    try:
        written += os.write(1, bytes(65536))
        stuck_since = None
    except BlockingIOError:
        stuck_since = stuck_since or time.monotonic()
        time.sleep(0.01)
print(written, file=sys.stderr, flush=True)
"""
    driven = Driven(
        tmp_path, [PYTHON, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    written = int(driven.process.stderr.readline())  # until then nobody reads its stdout
    assert 0 < written < 1_000_000
    driven.finish()
    assert len(driven.out) == written


def test_a_reader_that_goes_away_breaks_the_childs_pipe(tmp_path):
    """As in `agent | head -1`: the child dies of SIGPIPE, as it would have without us."""
    driven = Driven(tmp_path, ["yes"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    driven.process.stdout.readline()
    driven.process.stdout.close()
    assert driven.report()["signal"] == signal.SIGPIPE


def test_recorded_input_is_typed_into_a_terminal_after_its_prompt(tmp_path):
    """In a replay without any terminal the child gets one of the recorded size, and typed-ahead input that a password
    prompt would flush comes after the prompt."""
    code = (
        "import getpass, os; name = input('name? '); word = getpass.getpass('word? ');"
        "print(os.get_terminal_size(0), (name, word))"
    )
    prompt_lengths = len("name? "), len("name? ada\r\nword? ")
    typed = [["ada\r", prompt_lengths[0]], ["secret\r", prompt_lengths[1]]]
    driven, report = piped(tmp_path, PYTHON, "-c", code, kinds=["tty"] * 3, size=[20, 70], input=typed)
    assert b"os.terminal_size(columns=70, lines=20) ('ada', 'secret')" in driven.out
    assert driven.piece(0) == b"ada\rsecret\r"
    assert report["code"] == 0


def test_recorded_input_ends_as_recorded_and_ours_is_not_read(tmp_path):
    """Input of a replay is the recording's, with its end."""
    driven, _ = piped(tmp_path, "cat", data=b"live", kinds=["pipe"] * 3, input=[["one", 0], ["two", 3], ["", 6]])
    assert driven.out == b"onetwo"


def test_the_end_of_recorded_input_ends_a_terminals_input(tmp_path):
    """At a terminal the end is the key for it: a program that reads lines to the end ends."""
    code = "import sys; print([line.strip() for line in sys.stdin])"
    driven, report = piped(tmp_path, PYTHON, "-c", code, kinds=["tty", "pipe", "pipe"], input=[["one\r", 0], ["", 0]])
    assert driven.out == b"['one']\n"
    assert report["code"] == 0


def test_signals_that_come_late_do_not_hit_the_launcher(tmp_path):
    """A second Ctrl-C while the command is already ending is not turned against us afterwards."""
    code = """
import os, signal, sys
from playhead.capture.process.spawn import Command, Stdio
from playhead.runs.launcher import Launcher
with Launcher(lambda fd, data: None) as launcher:
    launcher.start(Command(("true",), dict(os.environ)), Stdio(("null", "pipe", "pipe")))
    status = launcher.run()
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
print("alive", status.code, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    ran = subprocess.run([PYTHON, "-c", code], capture_output=True, timeout=120, check=True)
    assert ran.stdout == b"alive 0 set()\n"


def test_every_connect_is_seen_while_running(tmp_path):
    """The launcher serves the watch itself: the command is not held up, and who it called is known."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port})); print('connected')"
        driven, report = piped(tmp_path, PYTHON, "-I", "-c", code, watch=True)
    if report["unwatched"]:
        assert os.geteuid() != 0
    else:
        assert ["127.0.0.1", port] in [attempt[2:4] for attempt in report["attempts"]]
    assert driven.out == b"connected\n"


def test_other_descriptors_children_and_timers_are_served():
    """Control socket, a second child's end and a timer all reach their callbacks, the timer at once and then not before its
    time: six calls take five periods."""
    code = """
import os, socket, sys, time
from playhead.capture.process.spawn import Command, Kind, Stdio
from playhead.runs.launcher import Launcher
heard, ended, ticks = [], [], []
ours, theirs = socket.socketpair()
going, release = os.pipe()
def tick():
    ticks.append(time.monotonic())
    if len(ticks) >= 6 and len(heard) == 2 and ended:
        os.write(release, b"go\\n")
engine = os.fork()
if engine == 0:
    ours.close()
    theirs.send(b"ready")
    os._exit(5)
theirs.close()
with Launcher(lambda fd, data: None) as launcher:
    launcher.control(ours, heard.append)
    launcher.watch_child(engine, ended.append)
    began = time.monotonic()
    launcher.every(0.01, tick)
    ended_by = ("sh", "-c", f"read go </proc/{os.getpid()}/fd/{going}")
    launcher.start(Command(ended_by, dict(os.environ)), Stdio((Kind.NULL, Kind.PIPE, Kind.PIPE)))
    launcher.run()
print(heard, [os.waitstatus_to_exitcode(status) for status in ended], ticks[5] - began >= 0.05)
"""
    ran = subprocess.run([PYTHON, "-c", code], capture_output=True, timeout=120, check=True)
    assert ran.stdout == b"[b'ready', b''] [5] True\n"


def test_run_before_start_is_refused():
    """A launcher without a command has nothing to wait for."""
    with Launcher(lambda fd, data: None) as launcher, pytest.raises(RuntimeError):
        launcher.run()


def test_shell_code():
    """What a shell would report of either way to end."""
    assert ExitStatus(3, None, 0.1).shell_code == 3
    assert ExitStatus(None, 9, 0.1).shell_code == 137
