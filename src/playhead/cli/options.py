"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from playhead.journal.store import Store, default_root

if TYPE_CHECKING:
    from collections.abc import Callable

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


def open_store(named: Path | None) -> Store:
    """The store the user means. Raises SetupError."""
    return Store.open(named or default_root(os.environ))


def say(text: str) -> None:
    """Talk: one line on stderr."""
    click.echo(text, err=True)
