"""`playhead sql`: ask all sessions and steps in SQL."""

from __future__ import annotations

import csv
import io
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from playhead.cli import render
from playhead.cli.options import json_option, open_store, store_option
from playhead.errors import UsageError
from playhead.sessions.index import catalogue
from playhead.sessions.warehouse import warehouse

if TYPE_CHECKING:
    from pathlib import Path


@click.command("sql", short_help="Ask all sessions and steps in SQL.")
@click.argument("query", metavar="QUERY")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout, with a line of names.")
@json_option
@store_option
def command(*, query: str, as_csv: bool, as_json: bool, store: Path | None) -> None:
    """One SELECT over the tables sessions, steps and tags, in DuckDB's SQL. Needs the extra `sql`.

    It reads a copy in memory: recorders are not held up, nothing can be changed, no file and no address is reached.

    \b
    playhead sql 'SELECT model, count(*), median(duration_s) FROM steps GROUP BY model'
    playhead sql "SELECT session, cost_usd FROM sessions ORDER BY cost_usd DESC LIMIT 10"
    playhead sql 'DESCRIBE steps'
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other.", code="usage", todo="give one of them")
    with catalogue(open_store(store)) as index, warehouse(index, query) as house:
        names, rows = house.ask(query)
        if as_json:
            plain = [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in rows]
            click.echo(render.pretty_json(plain))
        elif as_csv:
            table = io.StringIO()
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([_plain(value) for value in row] for row in rows)
            text = table.getvalue()  # exact into a file or a pipe; a terminal must not take orders from it
            click.echo(render.harmless(text) if sys.stdout.isatty() else text, nl=False)
        else:
            _show(names, list(rows))


def _plain(value: Any) -> Any:
    """A value as JSON has it: times in ISO 8601, what JSON has no form for as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _show(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    numeric = [all(isinstance(row[at], (int, float, type(None))) for row in rows) for at in range(len(names))]
    shown = [[("-" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v), "") for v in row] for row in rows]
    columns = [(name, "right" if right and rows else "left") for name, right in zip(names, numeric, strict=True)]
    widest = next((name for name, right in zip(names, numeric, strict=True) if not right), names[0])
    render.table(columns, shown, grows=widest)
