"""Where somebody else's command line begins, and what it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import pytest

from playhead.cli import options
from playhead.cli.main import cli
from playhead.cli.record import command as record_command
from playhead.cli.replay import command as replay_command
from playhead.errors import UsageError
from playhead.runs.command import resolve_command

if TYPE_CHECKING:
    from pathlib import Path


def parsed(command: click.Command, line: str) -> dict[str, Any]:
    # below the real parent: click keeps the help option that a command was first seen with
    parent = click.Context(cli, info_name="playhead", help_option_names=["-h", "--help"])
    with command.make_context("x", line.split(), parent=parent) as context:
        return context.params


@pytest.mark.parametrize(
    ("line", "cmd", "name"),
    [
        ("-- python agent.py", "python agent.py", ""),
        ("python agent.py", "python agent.py", ""),
        ("--name n python agent.py --name other", "python agent.py --name other", "n"),
        ("--name=n -- python agent.py --name=other", "python agent.py --name=other", "n"),
        ("--allow-empty python agent.py -x --help", "python agent.py -x --help", ""),
        ("--name n --tag a=b --allow-empty --port 0 ./run.sh -- x", "./run.sh -- x", "n"),
        ("-- python -m agent -- --deep", "python -m agent -- --deep", ""),
        ("-- -weird-program", "-weird-program", ""),
        ("-- --name n", "--name n", ""),
        ("agents.support:main --verbose", "agents.support:main --verbose", ""),
        ("--tag a=b --tag c=d - x", "- x", ""),
        ("--name n", "", "n"),
        ("", "", ""),
    ],
)
def test_record_takes_its_own_options_and_leaves_the_command_s(line: str, cmd: str, name: str) -> None:
    """Options before the command are ours, all behind its first word, or behind `--`, are not."""
    found = parsed(record_command, line)
    assert " ".join(found["cmd"]) == cmd
    assert found["name"] == name


@pytest.mark.parametrize(
    ("line", "session", "cmd", "mode"),
    [
        ("last", "last", "", "strict"),
        ("last --mode observe", "last", "", "observe"),
        ("--mode observe last", "last", "", "observe"),
        ("last --mode observe -- python a.py --mode x", "last", "python a.py --mode x", "observe"),
        ("last --ignore-output python a.py --mode x", "last", "python a.py --mode x", "strict"),
        ("--speed 2 last --allow-live db:5432 -- python a.py", "last", "python a.py", "strict"),
        ("last python a.py -- b", "last", "python a.py -- b", "strict"),
        ("last -- -x", "last", "-x", "strict"),
        ("last --", "last", "", "strict"),
    ],
)
def test_replay_takes_options_on_both_sides_of_its_session(line: str, session: str, cmd: str, mode: str) -> None:
    """The command begins behind `--`, or with the second word."""
    found = parsed(replay_command, line)
    assert (found["session"], " ".join(found["cmd"]), found["mode"]) == (session, cmd, mode)


@pytest.mark.parametrize("line", ["-- python agent.py", "--mode observe -- python agent.py", ""])
def test_a_replay_without_a_session_does_not_take_the_program_for_one(line: str) -> None:
    """The mistake is named."""
    with pytest.raises(click.MissingParameter) as caught:
        parsed(replay_command, line)
    assert caught.value.param is not None
    assert caught.value.param.name == "session"


@pytest.mark.parametrize("line", ["--nope python a.py", "--nam", "--name"])
def test_an_unknown_option_is_not_taken_for_the_command(line: str) -> None:
    """Nor is an option without its value passed over."""
    with pytest.raises(click.UsageError):
        parsed(record_command, line)


def test_every_leading_word_is_an_argument_of_its_own() -> None:
    """For commands with other leading arguments, too."""

    class Two(options.RunCommand):
        leading = 2

    @click.command(cls=Two)
    @click.argument("a")
    @click.argument("b")
    @click.option("--flag", is_flag=True)
    @click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
    def command() -> None:
        """Nothing."""

    found = parsed(command, "x --flag y z --flag")
    assert (found["a"], found["b"], found["flag"], found["cmd"]) == ("x", "y", True, ("z", "--flag"))
    with pytest.raises(click.MissingParameter):
        parsed(command, "x -- y z")


def test_a_function_becomes_a_python_that_calls_it(tmp_path: Path) -> None:
    """MODULE:FUNCTION, its arguments left in sys.argv; a program of that name would go first."""
    assert resolve_command(["agents.support:main", "-v"])[:2] == [sys.executable, "-c"]
    assert resolve_command(["agents.support:main", "-v"])[3:] == ["agents.support:main", "-v"]
    assert resolve_command(["pkg:Class.method"])[0] == sys.executable
    for plain in (
        ["python", "a.py"],
        ["./a:b"],
        ["http://x:80"],
        ["C:\\agent.exe"],
        ["a:b c"],
        ["1a:b"],
        [":x"],
        ["x:"],
    ):
        assert resolve_command(plain) == plain


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def main():\n    print('plain', sys.argv[1:])", (0, "plain ['-v', 'x']")),
        ("async def main():\n    print('awaited')", (0, "awaited")),
        ("def main():\n    return 3", (3, "")),
        ("def main():\n    return True", (0, "")),
        ("def main():\n    sys.exit(4)", (4, "")),
        ("class main:\n    pass", (0, "")),
    ],
)
def test_the_function_runs_as_a_program(tmp_path: Path, body: str, expected: tuple[int, str]) -> None:
    """From the working directory; awaitables are awaited; a number it returns is the exit code."""
    import subprocess

    (tmp_path / "agentmod.py").write_text(f"import sys\n{body}\n")
    command = resolve_command(["agentmod:main", "-v", "x"])
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (*expected, "")


@pytest.mark.parametrize("argv", [[], [""]])
def test_nothing_to_run_is_a_usage_error(argv: list[str]) -> None:
    """With an example."""
    with pytest.raises(UsageError) as caught:
        resolve_command(argv)
    assert caught.value.code == "no-command"
    assert "playhead record -- " in caught.value.todo
