"""`playhead doctor`: which route each client here would take into a recording, what would be missed, and why."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from playhead.cli import render
from playhead.cli.options import RunCommand, json_option, store_option
from playhead.journal.store import default_root
from playhead.runs.clients import find_clients, missed_by
from playhead.runs.doctor import FAILURE, OK, WARNING, canary, check_machine, check_settings, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playhead.runs.clients import Client
    from playhead.runs.doctor import Check, Setting

CANNOT_RECORD = 2
_SIGNS = {OK: ("✓", "green"), WARNING: ("!", "yellow"), FAILURE: ("✗", "red")}
_NAME_WIDTH = 18


@click.command(
    "doctor",
    short_help="Say which capture route each client here would take, and what would be missed.",
    cls=RunCommand,
    epilog="""\b
Examples:
  playhead doctor                       look at this machine
  playhead doctor -- python agent.py    run it once as a canary, and say what would be captured
""",
)
@json_option
@store_option
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD...]")
def command(*, as_json: bool, store: Path | None, cmd: tuple[str, ...]) -> int:
    """Look at this machine, the settings and the clients found: which route each would take, and what would be missed.

    With CMD it is run once, recorded into a store that is deleted at once (its standard output goes to stderr). Exit
    code then: 0 all was captured, 1 something was missed, 4 nothing was captured. Without: 2 if nothing can be recorded.
    """
    if cmd:
        with _stdout_on_stderr():
            found, code = canary(cmd)
        if as_json:
            click.echo(render.pretty_json({**describe(), "canary": found}))
        else:
            _show_canary(found, code)
        return code
    checks = check_machine(store or default_root(os.environ))
    settings, clients = check_settings(os.environ), find_clients(os.environ)
    if as_json:
        click.echo(render.pretty_json(_to_json(checks, settings, clients)))
    else:
        _show(checks, settings, clients)
    statuses = {*(check.status for check in checks), *(setting.status for setting in settings)}
    return CANNOT_RECORD if FAILURE in statuses else 0


def _to_json(checks: Sequence[Check], settings: Sequence[Setting], clients: Sequence[Client]) -> dict[str, Any]:
    return {
        **describe(),
        "machine": [check._asdict() for check in checks],
        "settings": [setting._asdict() for setting in settings],
        "clients": [client._asdict() for client in clients],
        "missed": [{"clients": names, "what": what} for names, what in missed_by(clients)],
    }


@contextlib.contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    """Give the canary our standard error as its standard output: ours is for the answer."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


# what people read ----------------------------------------------------------------------------------------------------


def _show(checks: Sequence[Check], settings: Sequence[Setting], clients: Sequence[Client]) -> None:
    about = describe()
    click.echo(f"Playhead {about['playhead']}, Python {about['python']}, {about['platform']}")
    _title("This machine")
    for check in checks:
        _entry(check.status, check.name, check.found, check.todo)
    if settings:
        _title("Your settings")
        for setting in settings:
            more = f" and {len(setting.names) - 2} more" if len(setting.names) > 3 else ""
            names = ", ".join(setting.names[:2] if more else setting.names)
            _paragraph(f"{_sign(setting.status)} {names}{more} = {setting.value}", "  ", "      ")
            _paragraph(setting.effect, "      ", "      ")
    _title("Clients found")
    _clients(clients)
    _title("Would be missed")
    for names, what in missed_by(clients):
        _paragraph(f"{names}: {what}", "  - ", "    ")
    click.echo("\nTo see what a command of yours does: playhead doctor -- CMD")


def _clients(clients: Sequence[Client]) -> None:
    rows = [(client.name, client.version or "?", client.route, client.trust) for client in clients]
    if not rows:
        click.echo("  none in PATH")
        return
    head = ("CLIENT", "VERSION", "ROUTE", "TRUSTS THE RECORDER BY")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(3)]
    for number, row in enumerate((head, *rows)):
        line = "  ".join((*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]))
        click.echo(click.style(f"  {line}", dim=number == 0))


def _show_canary(found: dict[str, Any], code: int) -> None:
    command = textwrap.shorten(render.harmless(" ".join(found["command"])), 60, placeholder=" …")
    click.echo(f"Canary: {command}\n        (exit code {found['exit_code']}, {render.seconds(found['duration_s'])})")
    if found["captured"] or found["tool_calls"]:
        _title("Captured")
    if found["tool_calls"]:
        _entry(OK, "tools", render.things(found["tool_calls"], "call"))
    for each in found["captured"]:
        calls = f"{each['calls']} call{'s' if each['calls'] != 1 else ''} by {each['route']}"
        unanswered = f"; {each['unanswered']} not answered: {each['detail']}" if each["unanswered"] else ""
        _entry(WARNING if unanswered else OK, each["host"], calls + unanswered)
    if found["not_captured"]:
        _title("Not captured")
    for each in found["not_captured"]:
        _entry(FAILURE, each["host"], each["reason"], each["todo"])
    if code == 0:
        verdict = (
            "All that was seen was captured. What was recorded here is deleted; to keep it: playhead record -- CMD"
        )
    elif found["captured"] or found["tool_calls"]:
        verdict = "Something was missed: a replay of this command would not be identical."
    elif found["not_captured"]:
        verdict = "Nothing was captured; what went past is listed above."
    else:
        verdict = (
            "Nothing was captured. Either the command made no call, or its client goes past every route: "
            "`playhead doctor` lists which route each client takes and what it needs."
        )
    click.echo()
    _paragraph(verdict, "", "")


def _title(text: str) -> None:
    click.echo("\n" + click.style(text, bold=True))


def _entry(status: str, name: str, text: str, todo: str = "") -> None:
    indent = " " * (4 + _NAME_WIDTH)
    label = f"{_sign(status)} {name.ljust(_NAME_WIDTH - 1)} "
    if len(name) >= _NAME_WIDTH:
        _paragraph(label.rstrip(), "  ", indent)
        _paragraph(text, indent, indent)
    else:
        _paragraph(f"{label}{text}", "  ", indent)
    if todo:
        _paragraph(f"next: {todo}", indent, indent)


def _sign(status: str) -> str:
    return _SIGNS[status][0]


def _paragraph(text: str, first: str, rest: str) -> None:
    for line in render.wrapped(text, first, rest):
        sign = line.lstrip()[:1]
        colour = next((colour for mark, colour in _SIGNS.values() if mark == sign), None)
        shown = line.replace(sign, click.style(sign, fg=colour), 1) if colour and line.startswith("  ") else line
        click.echo(shown)
