"""Fork and exec by hand: what the program starts with, and what is said when it does not."""

import os

import pytest

from playhead.capture.process.spawn import Kind, Stdio
from tests.capture.process.driving import drive

SHOWN = """
def shown(command, kinds=('null', 'pipe', 'pipe'), env=None, **given):
    child = spawn.spawn(Command(command, {'PATH': os.environ['PATH'], **(env or {})}, given.pop('cwd', None)), Stdio(kinds), **given)
    os.waitpid(child.pid, 0)
    said = os.read(child.stdout, 65536).decode()
    child.close()
    return said
"""


def test_environment_directory_and_arguments_are_those_given(tmp_path):
    """Nothing of ours leaks in."""
    said = drive(
        SHOWN
        + """
from pathlib import Path
os.environ['OURS'] = 'x'
print(shown(('sh', '-c', 'pwd; env | grep -v -e PWD -e SHLVL -e ^_= -e PATH; echo "$1"', 'sh', 'a  b'), env={'K': 'v'}, cwd=Path(sys.argv[1])))
""",
        str(tmp_path),
    )
    assert said.split("\n")[:3] == [str(tmp_path), "K=v", "a  b"]


def test_signals_start_as_a_shell_would_start_them():
    """No signal blocked; SIGPIPE and our own handlers are defaults; what we were told to ignore stays ignored.

    What this machine ignores from the start (some supervisors do with 32) stays so and is not looked at."""
    said = drive(
        SHOWN
        + """
def fields(status):
    return dict(line.split(':', 1) for line in status.split('\\n') if line)
ours = sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ))
inherited = int(fields(open('/proc/self/status').read())['SigIgn'], 16) & ~ours
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
said = fields(shown(('cat', '/proc/self/status')))
print(int(said['SigBlk'], 16), int(said['SigCgt'], 16), bin(int(said['SigIgn'], 16) & ~inherited))
"""
    )
    assert said == "0 0 0b1\n"


def test_a_terminal_comes_with_a_session_and_pipes_do_not():
    """With a pty the child leads a session; without, it stays in our group so that Ctrl-C reaches it."""
    said = drive(
        """
        for kinds in (('null', 'pipe', 'pipe'), ('tty', 'pipe', 'pipe')):
            child = spawn.spawn(Command(('sleep', '9'), {'PATH': os.environ['PATH']}), Stdio(kinds))
            print(os.getsid(child.pid) == child.pid, os.getpgid(child.pid) == os.getpgrp())
            child.send(signal.SIGTERM)
            print(os.WTERMSIG(os.waitpid(child.pid, 0)[1]))
            child.send(signal.SIGTERM)
            child.close()
        """
    )
    assert said.split() == ["False", "True", "15", "True", "False", "15"]


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ("Command(('nope',), {'PATH': '/usr/bin'})", "CommandNotStarted 127 command-not-found"),
        ("Command(('nope',), {})", "CommandNotStarted 127 command-not-found"),
        ("Command(('/etc/passwd',), {})", "CommandNotStarted 126 command-not-executable"),
        ("Command(('/etc/passwd/x',), {})", "CommandNotStarted 127 command-not-found"),
        (
            "Command(('true', 'x' * 3_000_000), {'PATH': '/usr/bin:/bin'})",
            "CommandNotStarted 126 command-not-executable",
        ),
        ("Command(('true',), {}, '/no/such/directory')", "SetupError 2 child-setup"),
    ],
)
def test_what_cannot_start_is_said_and_leaves_nothing(failing, expected):
    """The exit code of a shell, a stable code, no process and no descriptor left."""
    said = drive(
        f"""
        before = sorted(os.listdir('/proc/self/fd'))
        try:
            spawn.spawn({failing}, Stdio(('tty', 'pipe', 'pipe')))
        except Exception as error:
            print(type(error).__name__, error.exit_code, error.code)
        print(sorted(os.listdir('/proc/self/fd')) == before)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            print('no child')
        """
    )
    assert said == f"{expected}\nTrue\nno child\n"


def test_closed_standard_streams_are_survived():
    """Started without 0, 1 and 2 (a daemon, cron): no pipe of ours takes their numbers."""
    said = drive(
        """
        saved = os.dup(1)
        for fd in range(3):
            os.close(fd)
        kinds = Stdio.here().kinds
        child = spawn.spawn(Command(('sh', '-c', 'readlink /proc/self/fd/0; echo out; echo err >&2'), {'PATH': os.environ['PATH']}), Stdio(kinds))
        os.waitpid(child.pid, 0)
        os.write(saved, repr((kinds, os.read(child.stdout, 99), os.read(child.stderr, 99))).encode())
        """
    )
    assert "'null'" in said
    assert said.count("'pipe'") == 2
    assert "b'/dev/null\\nout\\n', b'err\\n'" in said


def test_kinds_are_words_of_the_journal():
    """Stdio takes the words as they were recorded and refuses others."""
    assert Stdio(("tty", "pipe", "null")).kinds == (Kind.TTY, Kind.PIPE, Kind.NULL)
    with pytest.raises(ValueError, match="socket"):
        Stdio(("tty", "socket", "null"))


def test_here_is_what_we_are():
    """Our own streams by kind; outputs that go nowhere are still recorded."""
    for number, kind in enumerate(Stdio.here().kinds):
        assert (kind is Kind.TTY) == os.isatty(number)
    assert Kind.NULL not in Stdio.here().kinds[1:]
