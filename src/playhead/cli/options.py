"""Options that several commands share."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from playhead.errors import UsageError
from playhead.journal.store import Store, default_root

if TYPE_CHECKING:
    from collections.abc import Callable

_AGE = re.compile(r"(\d{1,9})(s|min|m|h|d|w)\Z")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_Command = TypeVar("_Command", bound="Callable[..., Any]")


def store_option(command: _Command) -> _Command:
    """`--store DIR`, given to the command as `store: Path | None`."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Where recordings live. Default: $PLAYHEAD_STORE, else ~/.playhead.",
    )(command)


def json_option(command: _Command) -> _Command:
    """`--json`, given as `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(command)


def summary_option(command: _Command) -> _Command:
    """`--summary FILE`, given as `summary: Path | None`."""
    return click.option(
        "--summary",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the summary of the run there, as JSON.",
    )(command)


class RunCommand(click.Command):
    """A command that ends in somebody else's command line. Options may stand anywhere before that line; it begins
    behind `--`, or with the first word that is neither an option nor one of the `leading` arguments."""

    leading = 0

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        split, words = self._where_it_begins(args)
        own, line = args[:split], args[split:]
        if line and words < self.leading:  # else the first word of CMD would be taken for the missing argument
            missing = next(param for param in self.params if isinstance(param, click.Argument))
            raise click.MissingParameter(ctx=ctx, param=missing)
        if line:
            own += ["--", *(line[1:] if line[:1] == ["--"] else line)]
        return super().parse_args(ctx, own)

    def _where_it_begins(self, args: list[str]) -> tuple[int, int]:
        """Where in `args` the command line begins, and how many leading arguments stand before it."""
        takes_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        words = position = 0
        while position < len(args):
            word = args[position]
            if word == "--":
                return position, words
            if word.startswith("-") and len(word) > 1:
                position += 2 if word in takes_value else 1
                continue
            if words == self.leading:
                return position, words
            words += 1
            position += 1
        return len(args), words


class SessionRunCommand(RunCommand):
    """The same, after a SESSION."""

    leading = 1


def moment_ns(text: str) -> int:
    """The wall-clock time that `90s`, `15min`, `2h`, `7d`, `4w` (ago) or a date means. Raises UsageError."""
    try:
        if match := _AGE.match(text):
            moment = datetime.now(UTC) - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        else:
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time.",
            code="bad-time",
            expected="an age (90s, 15min, 2h, 7d) or a date (2026-11-21, 2026-11-21T10:00)",
            todo="write 2h, 7d or 2026-11-21",
        ) from None
    return int(moment.timestamp() * 1e9)


def open_store(named: Path | None) -> Store:
    """The store the user means. Raises SetupError."""
    return Store.open(named or default_root(os.environ))


def say(text: str) -> None:
    """Talk: one line on stderr."""
    click.echo(text, err=True)
