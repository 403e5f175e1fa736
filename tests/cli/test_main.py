"""The command line as a whole: help, mistakes, exit codes, pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from playhead.cli import main as mains
from playhead.cli.main import COMMANDS
from playhead.errors import (
    DamagedRecording,
    Diverged,
    IncompatibleRecording,
    InternalError,
    LiveCallBlocked,
    NothingCaptured,
    PlayheadError,
    SessionNotFound,
    SetupError,
    UsageError,
)
from tests.support.executable import PLAYHEAD, plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.journal.store import Store


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_every_command_is_readable(run: Callable[..., Any], command: str, flag: str) -> None:
    """Usage, what it does, a line for every option, nothing wider than 100 columns, no trace of our own names."""
    ran = run(command, flag)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: playhead {command} ")
    assert max(map(len, ran.out.splitlines())) <= 100
    assert "Options:" in ran.out
    for word in ("cmd", "as_json", "UNPROCESSED", "None", "FUNC"):
        assert f" {word} " not in ran.out


def test_help_lists_every_command_and_how_to_start(run: Callable[..., Any]) -> None:
    """Also without any argument at all, which is a mistake."""
    ran = run("--help")
    assert ran.code == 0
    for name, what in COMMANDS.items():
        assert name in ran.out
        assert what.split(",", maxsplit=1)[0][:40] in ran.out
    assert "playhead record -- python agent.py" in ran.out
    bare = run()
    assert bare.code == 2
    assert "playhead record" in bare.out + bare.err


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("recrod", "playhead record"),
        ("Replay", "playhead replay"),
        ("ls", "playhead list"),
        ("zzz", "playhead --help"),
        ("python", "playhead record -- python"),
    ],
)
def test_an_unknown_command_is_told_what_is_near(run: Callable[..., Any], typed: str, hint: str) -> None:
    """Exit 2, on stderr."""
    ran = run(typed)
    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--nope"),
        ("list", "--limit", "0"),
        ("list", "--limit", "x"),
        ("list", "--status", "happy"),
        ("list", "--tag", "x"),
        ("list", "--since", "yesterday"),
        ("list", "--since", "2026-13-45"),
        ("list", "--since", "999999999w"),
        ("list", "--since", "0001-01-01"),
        ("list", "--since", "9999-12-31T23:59:59-12:00"),
        ("inspect",),
        ("inspect", "a", "b"),
        ("inspect", "last:x"),
        ("verify",),
        ("rm",),
        ("record",),
        ("record", "--"),
        ("record", "--name", "a/b", "--", "true"),
        ("record", "--tag", "x", "--", "true"),
        ("record", "--durability", "maybe", "--", "true"),
        ("replay",),
        ("replay", "--", "python", "agent.py"),
        ("replay", "--mode", "loose", "x"),
        ("replay", "x", "--speed", "-1"),
        ("replay", "x", "--speed", "nan"),
    ],
)
def test_a_call_that_cannot_be_meant_is_exit_2_in_words(run: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    """An error with a code, something to do next, no traceback, nothing on stdout."""
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[")
    assert "next:" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError, 2),
        (SetupError, 2),
        (SessionNotFound, 3),
        (DamagedRecording, 3),
        (IncompatibleRecording, 3),
        (NothingCaptured, 4),
        (LiveCallBlocked, 4),
        (Diverged, 1),
        (InternalError, 5),
    ],
)
def test_errors_have_four_beats_and_the_exit_code_of_their_kind(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: type[PlayheadError], code: int
) -> None:
    """What happened, where, expected and seen, what to do next, on stderr, with control characters made visible."""

    def fail(**_: object) -> None:
        raise error("It \x1b[31mbroke.", code="it-broke", where="here", expected="x", seen="y\u202e", todo="mend it")

    monkeypatch.setattr(mains.cli, "main", fail)
    ran = run("list")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err == (
        "error[it-broke]: It \\e[31mbroke.\n  where:    here\n  expected: x\n  seen:     y\\u202e\n  next:     mend it\n"
    )


def test_a_fault_of_our_own_is_exit_5_with_a_report(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The report is a file with the traceback and no secret; the terminal sees no traceback."""
    secret = "sk-proj-" + "a1B2c3D4e5F6g7H8" * 3

    def fail(**_: object) -> None:
        raise KeyError(secret)

    monkeypatch.setattr(mains.cli, "main", fail)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    ran = run("list")
    assert ran.code == 5
    assert "Traceback" not in ran.err
    (report,) = tmp_path.iterdir()
    assert str(report) in ran.err
    assert "KeyError" in report.read_text()
    assert secret not in report.read_text()


def test_versions_are_told(run: Callable[..., Any]) -> None:
    """Name and number."""
    assert run("--version").out.startswith("playhead ")
    assert run("-V").code == 0


@pytest.mark.parametrize(
    "arguments", [("list",), ("list", "--json"), ("inspect", "last"), ("inspect", "last:1", "--raw")]
)
def test_a_reader_that_leaves_is_no_error(store: Store, recorded: str, arguments: tuple[str, ...]) -> None:
    """As with `| head -0`: no traceback, no word, exit 0."""
    command = [PLAYHEAD, *arguments]
    env = plain_environment(store.root.parent)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_few_characters_is_no_error(store: Store, encoding: str) -> None:
    """What it does not have is shown by number; a broken half of a character too."""
    from tests.sessions.tapes import Tape, chat, said

    Tape(store, name="café ✓", command=["python", "\udcff"]).seal()
    other = Tape(store, "00" * 8)
    other.exchange(chat("☔"), said("☔ \ud83d"))
    other.seal()
    env = plain_environment(store.root.parent, PYTHONIOENCODING=encoding)
    for arguments in (("list",), ("list", "--json"), ("inspect", "0000"), ("inspect", "0000:1"), ("inspect", "7f3a")):
        ran = subprocess.run([PLAYHEAD, *arguments], env=env, capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
        if "--json" in arguments:
            listed = json.loads(ran.stdout.decode("utf-8" if encoding == "ascii" else encoding))
            assert encoding == "latin-1" or listed[-1]["name"] == "café ✓"


def test_reading_commands_load_no_library_of_the_engine(store: Store, recorded: str) -> None:
    """Start-up is a budget: what only a recording needs is not imported to list one."""
    code = (
        "import sys; from playhead.cli.main import main\n"
        "try: main(['list'])\nexcept SystemExit: pass\n"
        "heavy = {'cryptography', 'httptools', 'uvloop', 'h2', 'openai'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    env = plain_environment(Path(store.root.parent))
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_command_ends_without_a_word_of_the_libraries_it_used(store: Store, recorded: str) -> None:
    """Ours leaves out of the collector's sight what it imports at its start, but not what lives by being let go in order:
    DuckDB's types complain at the end of the process when something still holds them."""
    env = plain_environment(Path(store.root.parent))
    for arguments in (("sql", "select 1 as one"), ("list",), ("--help",)):
        ran = subprocess.run([PLAYHEAD, *arguments], env=env, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
