"""`playhead cost`: the ledger of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from playhead.cli import render
from playhead.cli.options import json_option, open_store, say, store_option
from playhead.core.ids import shown
from playhead.sessions.address import find
from playhead.sessions.index import catalogue
from playhead.sessions.ledger import ledger

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.journal.store import Store


@click.command("cost", short_help="What a session cost, and what it saved against the one it was replayed from.")
@click.argument("session", metavar="SESSION")
@json_option
@store_option
def command(*, session: str, as_json: bool, store: Path | None) -> None:
    """Tokens and dollars of a session at the prices of the day it was recorded, beside those of the session it was
    forked from. A replay asks no model and costs nothing; a session recorded from nothing is its own original."""
    place = open_store(store)
    found = find(place, session)
    if found.remark:
        say(found.remark)
    header = _header(place, found.id) if found.id else None
    if header is None:  # a file of no store, or one whose row is lost
        from playhead.cassette.opening import open_recording
        from playhead.sessions.session import Session

        header = Session(open_recording(found.path)).summary()
    parent = header.get("parent")
    original = _header(place, str(parent)) if parent else header
    if original is None:
        say(f"playhead: the session it was forked from, {shown(str(parent))}, is not in this store")
    document = ledger(header, original)
    if as_json:
        click.echo(render.pretty_json(document))
        return
    _show(document, header, parent)


def _header(store: Store, session: str) -> dict[str, Any] | None:
    with catalogue(store) as index:
        rows = index.newest(prefix=session, limit=1) if session.isalnum() else []
    return rows[0].header if rows else None


def _show(document: dict[str, Any], header: dict[str, Any], parent: str | None) -> None:
    lines = [(shown(document["session"]), document["usage"], document["cost_usd"], header.get("duration_s"))]
    if parent:
        original = document["original"]
        lines.append((f"from {shown(parent)}", original["usage"], original["cost_usd"], original["duration_s"]))
    titles = ("SESSION", "IN", "CACHED", "WRITTEN", "OUT", "REASONING", "COST", "TOOK")
    rows = []
    for label, usage, cost, duration in lines:
        told = usage or {}
        counts = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
        rows.append(
            [
                (label, "bold"),
                *((render.count(told.get(name)), "") for name in counts),
                (render.dollars(cost), ""),
                (render.seconds(duration), ""),
            ]
        )
    render.table([(t, "right" if at else "left") for at, t in enumerate(titles)], rows, grows="SESSION")
    saved = document["saved"]
    if parent and saved["cost_usd"] is not None:
        share = "" if saved["percent"] is None else f" ({saved['percent']:g} %)"
        click.echo(f"\nsaved {render.dollars(saved['cost_usd'])}{share}, {render.count(saved['tokens'])} tokens")
    elif not parent and document["cost_usd"]:
        click.echo(f"\neach replay saves {render.dollars(document['cost_usd'])}")
