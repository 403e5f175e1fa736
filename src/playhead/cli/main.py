"""The `playhead` command: finds the sub-command, turns errors into words and exit codes. Dispatch only."""

from __future__ import annotations

import gc
import io
import keyword
import os
import sys
from importlib import import_module
from typing import Any

import click

from playhead import __version__
from playhead.errors import InternalError, PlayheadError, UsageError

COMMANDS = {
    "init": "Make the store and the local CA ahead of time.",
    "doctor": "Say which capture route each client here would take, and what would be missed.",
    "record": "Run a command and record it.",
    "replay": "Run a command against a recording, offline, and say whether it was identical.",
    "list": "Sessions, newest first.",
    "search": "Find steps by the words in them.",
    "inspect": "The steps of a session, or one step in full.",
    "stats": "Tokens, cost, latency and errors, by model, day, provider, name or tag.",
    "cost": "What a session cost, and what it saved against the one it was replayed from.",
    "sql": "Ask all sessions and steps in SQL.",
    "export": "Write a session into one portable, sealed file: a cassette.",
    "import": "Take a cassette into the store.",
    "verify": "Check that a recording is what was written.",
    "scan": "Find secrets in recordings and files; names the place, never the value.",
    "rm": "Really delete sessions.",
    "gc": "Delete old sessions, and tidy the store.",
}

_EPILOG = """\b
Start here:
  playhead record -- python agent.py
  playhead replay last
  playhead inspect last
"""


def module_of(name: str) -> str:
    """The module of a command; `import` is a word of Python's own."""
    return f"playhead.cli.{name}_" if keyword.iskeyword(name) else f"playhead.cli.{name}"


class _Commands(click.Group):
    """Loads a command's module when it is used, so that `--help` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = import_module(module_of(cmd_name)).command
        if not gc.isenabled():
            gc.freeze()  # what is imported stays: no need to look through it at every turn, nor before the end
            gc.enable()
        assert isinstance(command, click.Command)  # noqa: S101  ours
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS:
            import difflib  # here, and not at every start

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            todo = f"did you mean: playhead {near[0]}" if near else "playhead --help"
            if not near and (os.path.exists(name) or name in ("python", "python3", "node", "uv", "npx")):  # noqa: PTH110
                import shlex

                todo = f"to record it: playhead record -- {shlex.join(args)}"
            raise UsageError(
                f"There is no command {name}.", code="unknown-command", expected=", ".join(COMMANDS), todo=todo
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # here, because click would end with 1, which says that something differs
            _drop_output()
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="playhead", message="%(prog)s %(version)s")
def cli() -> None:
    """Record an AI agent once; replay it offline, see every call, and know whether it was the same."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit the process with the code of CONTRACT's table."""
    _open_standard_streams()
    if argv is None:  # a process of our own
        gc.disable()  # until the command is loaded
    try:
        code = cli.main(args=argv, prog_name="playhead", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        code = _say(_usage(error))
    except click.Abort:
        code = 130
    except PlayheadError as error:
        code = _say(error)
    except BrokenPipeError:
        _drop_output()
        code = 0
    except Exception as error:  # noqa: BLE001  the last resort turns a fault of ours into words
        code = _internal(error)
    sys.exit(code if isinstance(code, int) else 0)


def _open_standard_streams() -> None:
    """Open what of 0, 1, 2 is closed, lest the next file that is opened becomes our standard output."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is `fd`
    for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, mode, closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without a character shows its number
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """The reader of our output has gone: nothing more to say."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(error: PlayheadError) -> int:
    from playhead.cli.render import harmless

    click.echo(f"{click.style('error', fg='red')}[{error.code}]: {harmless(str(error))}", err=True)
    return error.exit_code


def _usage(error: click.ClickException) -> UsageError:
    """A complaint of the option parser in our own form."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return UsageError(
        error.format_message(),
        code="usage",
        expected=context.get_usage().removeprefix("Usage: ") if context else "",
        todo=f"{context.command_path} --help" if context else "playhead --help",
    )


def _internal(error: Exception) -> int:
    """Write what is needed to find the fault into a file, and say where."""
    import platform
    import tempfile
    import traceback

    from playhead.core.redact import Redactor

    text = "".join(traceback.format_exception(error))
    report = f"playhead {__version__}\npython {sys.version}\n{platform.platform()}\nargv {sys.argv!r}\n\n{text}"
    report = Redactor().message().text(report)
    try:
        with tempfile.NamedTemporaryFile("w", prefix="playhead-report-", suffix=".txt", delete=False) as file:
            file.write(report)
        todo = f"please report it with this file, which holds no recording: {file.name}"
    except OSError:  # nowhere to put it: the terminal is left
        todo = f"please report it with this text, which holds no recording:\n\n{report}"
    return _say(
        InternalError("Playhead itself failed.", code="internal", seen=f"{type(error).__name__}: {error}", todo=todo)
    )
